package jinja

// expr is an expression node.
type expr interface{ at() int }

// pos is the line a node begins on.
type pos int

func (p pos) at() int { return int(p) }

type (
	constExpr struct {
		pos
		v value
	}
	nameExpr struct {
		pos
		name string
	}
	// nsRefExpr is a namespace attribute as an assignment's target.
	nsRefExpr struct {
		pos
		name, attr string
	}
	tupleExpr struct {
		pos
		items []expr
	}
	listExpr struct {
		pos
		items []expr
	}
	dictExpr struct {
		pos
		keys, vals []expr
	}
	condExpr struct {
		pos
		test, then, other expr // other may be nil
	}
	logicExpr struct {
		pos
		or          bool
		left, right expr
	}
	notExpr struct {
		pos
		x expr
	}
	unaryExpr struct {
		pos
		op string
		x  expr
	}
	binaryExpr struct {
		pos
		op          string
		left, right expr
	}
	compareExpr struct {
		pos
		first expr
		ops   []string // == != < <= > >= in notin
		rest  []expr
	}
	concatExpr struct {
		pos
		items []expr
	}
	attrExpr struct {
		pos
		x    expr
		name string
	}
	itemExpr struct {
		pos
		x, key expr
	}
	sliceExpr struct {
		pos
		low, high, step expr // each may be nil
	}
	callExpr struct {
		pos
		fn   expr
		args argList
	}
	filterExpr struct {
		pos
		x    expr // nil: the body of a filter block or set block
		name string
		args argList
	}
	testExpr struct {
		pos
		x    expr
		name string
		args argList
	}
)

// argList is the arguments of a call, filter or test.
type argList struct {
	pos    []expr
	names  []string // of kw
	kw     []expr
	star   expr // *args, or nil
	double expr // **kwargs, or nil
}

// stmt is a statement node.
type stmt interface{ at() int }

type (
	// textStmt is template text; printStmt prints an expression.
	textStmt struct {
		pos
		text string
	}
	printStmt struct {
		pos
		x expr
	}
	ifStmt struct {
		pos
		tests  []expr
		bodies [][]stmt // one per test
		other  []stmt
	}
	forStmt struct {
		pos
		target    expr
		iter      expr
		test      expr // or nil
		recursive bool
		body      []stmt
		names     frameNames
		other     []stmt
		// otherNames are those of the else branch.
		otherNames frameNames
	}
	setStmt struct {
		pos
		target expr
		x      expr
	}
	setBlockStmt struct {
		pos
		target expr
		filter expr // chain ending in a filterExpr with nil x, or nil
		body   []stmt
		names  frameNames
	}
	filterStmt struct {
		pos
		filter expr
		body   []stmt
		names  frameNames
	}
	withStmt struct {
		pos
		targets []expr
		vals    []expr
		body    []stmt
		names   frameNames
	}
	// scopeStmt is a body with its own names: a block or the generation tag.
	scopeStmt struct {
		pos
		body  []stmt
		block bool // sees the template's names only
		names frameNames
	}
	macroStmt struct {
		pos
		def *macroDef
	}
	callStmt struct {
		pos
		call   *callExpr
		caller *macroDef
	}
	loopStmt struct { // break or continue
		pos
		stop bool
	}
	// loadStmt would need another template, which there never is.
	loadStmt struct {
		pos
		tag string
	}
)

// macroDef is a macro, or the body of a call block.
type macroDef struct {
	pos
	name     string
	params   []string
	defaults []expr // of the last params
	body     []stmt
	// Which of the special names the body mentions.
	caller, kwargs, varargs bool
	names                   frameNames
}

// frameNames lists names that a body assigns unconditionally before any use
// and that no enclosing body knows: until assigned they are undefined there,
// even if a variable of that name was passed in.
type frameNames []string
