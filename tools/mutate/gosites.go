package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"strconv"
	"strings"
)

// goSites lists the sites of a Go file.
func goSites(src []byte) ([]Site, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "", src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	g := &goFile{src: src, file: fset.File(f.FileStart)}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			// Types compute nothing; which number an iota gives is arbitrary.
			if d.Tok == token.VAR || d.Tok == token.CONST && !bytes.Contains(g.text(d), []byte("iota")) {
				for _, s := range d.Specs {
					g.within = s.(*ast.ValueSpec).Names[0].Name
					ast.Inspect(s, g.visit)
				}
			}
		case *ast.FuncDecl:
			// What a type prints as is text.
			if d.Body != nil && d.Name.Name != "String" && d.Name.Name != "Error" {
				g.within = d.Name.Name
				ast.Inspect(d.Body, g.visit)
			}
		}
	}
	return g.sites, nil
}

type goFile struct {
	src    []byte
	file   *token.File
	within string
	sites  []Site
}

func (g *goFile) at(p token.Pos) int { return g.file.Offset(p) }

func (g *goFile) text(n ast.Node) []byte { return g.src[g.at(n.Pos()):g.at(n.End())] }

// add records a site at a node. Nil mutations are left out.
func (g *goFile) add(at token.Pos, ms ...*Mutation) {
	s := Site{Line: g.file.Line(at), Func: g.within}
	for _, m := range ms {
		if m != nil && string(g.src[m.Start:m.End]) != m.New {
			s.Mutations = append(s.Mutations, *m)
		}
	}
	if s.Mutations != nil {
		g.sites = append(g.sites, s)
	}
}

// swap replaces a node.
func (g *goFile) swap(kind string, n ast.Node, with string) *Mutation {
	return &Mutation{kind, g.at(n.Pos()), g.at(n.End()), with}
}

// token replaces a token at a position.
func (g *goFile) token(kind string, at token.Pos, was, is token.Token) *Mutation {
	return &Mutation{kind, g.at(at), g.at(at) + len(was.String()), is.String()}
}

var (
	// operators says, by the kind of the change, what an operator becomes.
	operators = map[string]map[token.Token][]token.Token{
		"comparison": {
			token.LSS: {token.LEQ, token.GTR}, token.LEQ: {token.LSS, token.GEQ},
			token.GTR: {token.GEQ, token.LSS}, token.GEQ: {token.GTR, token.LEQ},
			token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
		},
		"arithmetic": {
			token.ADD: {token.SUB}, token.SUB: {token.ADD}, token.MUL: {token.QUO}, token.QUO: {token.MUL}, token.REM: {token.MUL},
			token.SHL: {token.SHR}, token.SHR: {token.SHL}, token.AND: {token.OR}, token.OR: {token.AND}, token.XOR: {token.AND}, token.AND_NOT: {token.AND},
		},
		"logic": {token.LAND: {token.LOR}, token.LOR: {token.LAND}},
	}
	updates = map[token.Token]token.Token{
		token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN, token.MUL_ASSIGN: token.QUO_ASSIGN, token.QUO_ASSIGN: token.MUL_ASSIGN,
		token.SHL_ASSIGN: token.SHR_ASSIGN, token.SHR_ASSIGN: token.SHL_ASSIGN, token.OR_ASSIGN: token.AND_ASSIGN, token.AND_ASSIGN: token.OR_ASSIGN,
		token.XOR_ASSIGN: token.OR_ASSIGN, token.REM_ASSIGN: token.ADD_ASSIGN, token.AND_NOT_ASSIGN: token.AND_ASSIGN,
	}
	opposites = map[string]string{"min": "max", "max": "min", "Min": "Max", "Max": "Min", "Floor": "Ceil", "Ceil": "Floor"}
)

// visit records the sites of a node, and says whether to look inside it.
func (g *goFile) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.BasicLit:
		g.literal(n)
	case *ast.Ident:
		switch n.Name {
		case "true":
			g.add(n.Pos(), g.swap("constant", n, "false"))
		case "false":
			g.add(n.Pos(), g.swap("constant", n, "true"))
		}
	case *ast.ArrayType:
		return false // the length of an array is room, not what is computed with it
	case *ast.KeyValueExpr:
		if k, ok := n.Key.(*ast.Ident); ok && isText[k.Name] {
			return false
		}
	case *ast.BinaryExpr:
		g.binary(n)
	case *ast.UnaryExpr:
		if n.Op == token.SUB || n.Op == token.NOT {
			g.add(n.Pos(), g.swap(map[bool]string{true: "sign", false: "logic"}[n.Op == token.SUB], n, string(g.text(n.X))))
		}
	case *ast.IndexExpr:
		if i, ok := n.Index.(*ast.Ident); ok && isType(i.Name) {
			return false // a generic function
		}
		if _, ok := n.Index.(*ast.BasicLit); !ok {
			i := string(g.text(n.Index))
			g.add(n.Lbrack, g.swap("index", n.Index, i+" + 1"), g.swap("index", n.Index, i+" - 1"))
		}
	case *ast.SliceExpr:
		if x := n.Low; x != nil {
			g.add(x.Pos(), g.swap("bound", x, "("+string(g.text(x))+") + 1"), g.swap("bound", x, "("+string(g.text(x))+") - 1"))
		}
		// A view that ends too late is no defect by itself: what reads too far is
		// another site.
		if x := n.High; x != nil {
			g.add(x.Pos(), g.swap("bound", x, "("+string(g.text(x))+") - 1"))
		}
	case *ast.CallExpr:
		return g.call(n)
	case ast.Stmt:
		g.statement(n)
	}
	return true
}

// isType reports whether a name is of a type that comes with the language, or
// is what type parameters are called.
func isType(name string) bool {
	_, ok := types.Universe.Lookup(name).(*types.TypeName)
	return ok || name == "T"
}

// isText names fields that hold texts for people.
var isText = map[string]bool{"Text": true, "Notes": true, "Summary": true, "Vendor": true, "Model": true, "Err": true}

func (g *goFile) literal(n *ast.BasicLit) {
	text := n.Value
	switch n.Kind {
	case token.INT:
		v, err := strconv.ParseInt(text, 0, 64)
		if err != nil {
			return
		}
		form := "%d"
		if len(text) > 1 && text[0] == '0' {
			form = "%#x"
		}
		more, less := g.swap("constant", n, fmt.Sprintf(form, v+1)), g.swap("constant", n, fmt.Sprintf(form, v-1))
		if v == 0 {
			less.New = "(-1)"
		}
		g.add(n.Pos(), more, less, g.swap("constant", n, "0"))
	case token.FLOAT:
		g.add(n.Pos(), g.swap("constant", n, "("+text+" + 1)"), g.swap("constant", n, "(-"+text+")"), g.swap("constant", n, "0.0"))
	}
}

func (g *goFile) binary(n *ast.BinaryExpr) {
	var ms []*Mutation
	for _, kind := range []string{"comparison", "arithmetic", "logic"} {
		for _, op := range operators[kind][n.Op] {
			ms = append(ms, g.token(kind, n.OpPos, n.Op, op))
		}
	}
	switch n.Op {
	case token.ADD, token.SUB, token.MUL, token.QUO, token.REM, token.LAND, token.LOR:
		ms = append(ms, g.swap("term", n, string(g.text(n.X))))
	}
	switch n.Op {
	case token.ADD, token.MUL, token.LAND, token.LOR:
		ms = append(ms, g.swap("term", n, string(g.text(n.Y))))
	}
	g.add(n.OpPos, ms...)
}

func (g *goFile) call(n *ast.CallExpr) bool {
	name := ""
	switch f := n.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
		if x, ok := f.X.(*ast.Ident); ok && (x.Name == "fmt" || x.Name == "errors") {
			return false // texts
		}
	}
	for _, a := range n.Args {
		if l, ok := a.(*ast.BasicLit); ok && l.Kind == token.STRING && strings.Contains(l.Value, " ") {
			return false // a message, in our own words
		}
	}
	switch name {
	case "panic":
		return false
	case "make":
		if len(n.Args) == 3 { // the capacity is a hint
			ast.Inspect(n.Args[1], g.visit)
			return false
		}
	}
	var ms []*Mutation
	if is, ok := opposites[name]; ok {
		end := g.at(n.Fun.End())
		ms = append(ms, &Mutation{"min-max", end - len(name), end, is})
	}
	for i := range len(n.Args) - 1 {
		a, b := string(g.text(n.Args[i])), string(g.text(n.Args[i+1]))
		if name != "min" && name != "max" && a != b && n.Ellipsis == token.NoPos { // min and max do not mind
			ms = append(ms, &Mutation{"arguments", g.at(n.Args[i].Pos()), g.at(n.Args[i+1].End()), b + ", " + a})
		}
	}
	g.add(n.Pos(), ms...)
	if pieces[name] && len(n.Args) > 1 {
		for i, a := range n.Args {
			if i != 1 {
				ast.Inspect(a, g.visit)
			}
		}
		return false
	}
	return true
}

func (g *goFile) statement(n ast.Stmt) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		g.assign(n)
	case *ast.ExprStmt:
		if c, ok := n.X.(*ast.CallExpr); ok {
			if f, ok := c.Fun.(*ast.Ident); !ok || f.Name != "panic" {
				g.add(n.Pos(), g.swap("statement", n, ""))
			}
		}
	case *ast.IncDecStmt:
		g.add(n.Pos(), g.token("arithmetic", n.TokPos, n.Tok, map[token.Token]token.Token{token.INC: token.DEC, token.DEC: token.INC}[n.Tok]))
	case *ast.IfStmt:
		g.add(n.Pos(), g.swap("condition", n.Cond, "!("+string(g.text(n.Cond))+")"))
	case *ast.ForStmt:
		g.loop(n.Body)
	case *ast.RangeStmt:
		g.loop(n.Body)
		if _, ok := n.X.(*ast.BasicLit); !ok { // of an integer; others do not compile
			g.add(n.X.Pos(), g.swap("bound", n.X, "("+string(g.text(n.X))+") - 1"))
		}
	case *ast.BranchStmt:
		if n.Label == nil && (n.Tok == token.BREAK || n.Tok == token.CONTINUE) {
			g.add(n.Pos(), g.token("branch", n.TokPos, n.Tok, map[token.Token]token.Token{token.BREAK: token.CONTINUE, token.CONTINUE: token.BREAK}[n.Tok]))
		}
	}
}

func (g *goFile) assign(n *ast.AssignStmt) {
	var ms []*Mutation
	if is, ok := updates[n.Tok]; ok {
		ms = append(ms, g.token("arithmetic", n.TokPos, n.Tok, is))
	}
	if n.Tok != token.DEFINE { // drop it, but evaluate its right side
		blanks := strings.TrimSuffix(strings.Repeat("_, ", len(n.Lhs)), ", ")
		for _, l := range n.Lhs {
			if id, ok := l.(*ast.Ident); ok && id.Name == "_" {
				return
			}
		}
		ms = append(ms, &Mutation{"statement", g.at(n.Pos()), g.at(n.Rhs[0].Pos()), blanks + " = "})
	}
	g.add(n.TokPos, ms...)
}

// loop ends a loop after its first turn.
func (g *goFile) loop(body *ast.BlockStmt) {
	if len(body.List) == 0 {
		return
	}
	last := body.List[len(body.List)-1]
	if _, ok := last.(*ast.BranchStmt); ok {
		return
	}
	end := g.at(last.End())
	g.add(body.Pos(), &Mutation{"loop", end, end, "; break"})
}
