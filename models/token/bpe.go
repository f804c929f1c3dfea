package token

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// bpe is a byte-pair-encoding model: it splits a piece into runes and joins
// neighbours, the best pair of all first, until no pair can be joined. Pairs
// are ranked either by a list of merges (Hugging Face, and GGUF's "gpt2") or by
// the score of what they join to (SentencePiece, GGUF's "llama").
//
// It is safe for concurrent use.
type bpe struct {
	vocab  map[string]int32
	merges map[pair]merge // nil when ranked by score
	scored map[string]merge

	ignoreMerges bool        // a piece that is in the vocabulary is one token
	prefix       string      // of all symbols of a piece but the first
	suffix       string      // of a piece's last symbol
	unk          int32       // for runes that nothing else covers; noID drops them
	fuseUnk      bool        // one unk for several such runes in a row
	bytes        *[256]int32 // of <0x00> to <0xFF>, noID where missing; nil without any

	// lateBytes: a rune without a token of its own falls back to bytes after
	// joining (SentencePiece), not before (Hugging Face).
	lateBytes bool

	small [0x180]int32 // the ids of short runes, when there is no affix
	words wordCache
	pool  sync.Pool // of *joiner
}

type pair struct{ left, right int32 }

// merge says what a pair becomes. The lowest rank is joined first.
type merge struct {
	rank uint32
	id   int32
}

// piece is a token with the bytes of the fragment that it covers.
type piece struct {
	id         int32
	start, end int32
}

// init prepares the lookup tables once the fields are set.
func (m *bpe) init() {
	for r := range m.small {
		m.small[r] = noID
		if id, ok := m.vocab[string(rune(r))]; ok {
			m.small[r] = id
		}
	}
	m.pool.New = func() any { return new(joiner) }
}

// setMerges fills the merge list from pairs of pieces, best first.
func (m *bpe) setMerges(list []mergeRule) error {
	m.merges = make(map[pair]merge, len(list))
	for rank, rule := range list {
		left, ok := m.vocab[rule.left]
		if !ok {
			return fmt.Errorf("merge %d: %s is not in the vocabulary", rank, quote(rule.left))
		}
		right, ok := m.vocab[rule.right]
		if !ok {
			return fmt.Errorf("merge %d: %s is not in the vocabulary", rank, quote(rule.right))
		}
		joined := rule.left + strings.TrimPrefix(rule.right, m.prefix)
		id, ok := m.vocab[joined]
		if !ok {
			return fmt.Errorf("merge %d: %s and %s make %s, which is not in the vocabulary", rank, quote(rule.left), quote(rule.right), quote(joined))
		}
		m.merges[pair{left, right}] = merge{uint32(rank), id} // the last of equal pairs counts
	}
	return nil
}

// setScores ranks the joinable tokens of the vocabulary by score, highest
// first; equal scores give equal ranks.
func (m *bpe) setScores(score map[string]float64) {
	names := make([]string, 0, len(score))
	for name := range score {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(score[b], score[a]) })
	m.scored = make(map[string]merge, len(names))
	rank := uint32(0)
	for i, name := range names {
		if i > 0 && score[name] != score[names[i-1]] {
			rank++
		}
		m.scored[name] = merge{rank, m.vocab[name]}
	}
}

// encode appends the tokens of a piece of text to dst.
func (m *bpe) encode(dst []piece, text string) []piece {
	if text == "" {
		return dst
	}
	if m.ignoreMerges {
		if id, ok := m.vocab[text]; ok {
			return append(dst, piece{id, 0, int32(len(text))})
		}
	}
	if word, ok := m.words.get(text); ok {
		return append(dst, word...)
	}
	j := m.pool.Get().(*joiner)
	defer func() {
		j.trim()
		m.pool.Put(j)
	}()
	j.reset(m, text)
	j.joinAll()
	first := len(dst)
	for i := int32(0); i >= 0 && len(j.symbols) > 0; i = j.symbols[i].next {
		dst = m.appendSymbol(dst, text, j.symbols[i])
	}
	m.words.put(text, dst[first:])
	return dst
}

// appendSymbol appends what a symbol becomes after joining.
func (m *bpe) appendSymbol(dst []piece, text string, s symbol) []piece {
	if s.id != noID {
		return append(dst, piece{s.id, s.start, s.end})
	}
	if m.spells(text[s.start:s.end]) {
		for i := s.start; i < s.end; i++ {
			dst = append(dst, piece{m.bytes[text[i]], i, i + 1})
		}
		return dst
	}
	if m.unk == noID {
		return dst
	}
	if n := len(dst); n > 0 && s.start > 0 && m.fuseUnk && dst[n-1].id == m.unk && dst[n-1].end == s.start {
		dst[n-1].end = s.end
		return dst
	}
	return append(dst, piece{m.unk, s.start, s.end})
}

// symbol is a run of the piece's bytes in a doubly linked list.
type symbol struct {
	id         int32 // noID for a rune that may still become bytes or unk
	start, end int32
	prev, next int32 // -1 at the ends; a symbol joined to its left has prev -2
}

const joined = -2

// joiner is the state of joining one piece, reused between pieces.
type joiner struct {
	m       *bpe
	text    string
	symbols []symbol
	queue   []uint64 // a heap of rank<<32 | position of the left symbol
}

func (j *joiner) reset(m *bpe, text string) {
	j.m, j.text = m, text
	j.symbols = j.symbols[:0]
	j.queue = j.queue[:0]
	for i, r := range text {
		j.addRune(r, int32(i), int32(i+runeLen(r)))
	}
	for i := range j.symbols {
		j.symbols[i].prev = int32(i) - 1
		j.symbols[i].next = int32(i) + 1
	}
	if n := len(j.symbols); n > 0 {
		j.symbols[n-1].next = -1
	}
}

// addRune appends the symbol or symbols of a rune.
func (j *joiner) addRune(r rune, start, end int32) {
	m := j.m
	id := int32(noID)
	switch {
	case m.prefix != "" && start > 0 || m.suffix != "" && int(end) == len(j.text):
		s := j.text[start:end]
		if start > 0 {
			s = m.prefix + s
		}
		if int(end) == len(j.text) {
			s += m.suffix
		}
		if got, ok := m.vocab[s]; ok {
			id = got
		}
	case int(r) < len(m.small):
		id = m.small[r]
	default:
		if got, ok := m.vocab[j.text[start:end]]; ok {
			id = got
		}
	}
	if id != noID || m.lateBytes {
		j.symbols = append(j.symbols, symbol{id: id, start: start, end: end})
		return
	}
	if m.spells(j.text[start:end]) {
		for i := start; i < end; i++ {
			j.symbols = append(j.symbols, symbol{id: m.bytes[j.text[i]], start: i, end: i + 1})
		}
		return
	}
	if m.unk == noID {
		return
	}
	if n := len(j.symbols); n > 0 && m.fuseUnk && j.symbols[n-1].id == m.unk && j.symbols[n-1].end == start {
		j.symbols[n-1].end = end
		return
	}
	j.symbols = append(j.symbols, symbol{id: m.unk, start: start, end: end})
}

// find returns what the symbol at position i and its right neighbour make.
func (j *joiner) find(i int32) (merge, bool) {
	left := &j.symbols[i]
	if left.next < 0 {
		return merge{}, false
	}
	right := &j.symbols[left.next]
	if j.m.scored != nil {
		got, ok := j.m.scored[j.text[left.start:right.end]]
		return got, ok
	}
	got, ok := j.m.merges[pair{left.id, right.id}]
	return got, ok
}

// joinAll joins pairs by rank, equal ranks from left to right, in O(n log n).
// A queue entry may be out of date; it counts only if the pair that is now at
// its position has its rank.
func (j *joiner) joinAll() {
	for i := range j.symbols {
		if got, ok := j.find(int32(i)); ok {
			j.queue = append(j.queue, uint64(got.rank)<<32|uint64(i))
		}
	}
	for i := len(j.queue)/2 - 1; i >= 0; i-- {
		j.sink(i)
	}
	for len(j.queue) > 0 {
		best := j.queue[0]
		j.pop()
		i := int32(best & math.MaxUint32)
		left := &j.symbols[i]
		if left.prev == joined {
			continue
		}
		got, ok := j.find(i)
		if !ok || got.rank != uint32(best>>32) {
			continue
		}
		right := &j.symbols[left.next]
		left.id, left.end, left.next = got.id, right.end, right.next
		right.prev = joined
		if left.next >= 0 {
			j.symbols[left.next].prev = i
		}
		if got, ok := j.find(i); ok {
			j.push(uint64(got.rank)<<32 | uint64(i))
		}
		if left.prev >= 0 {
			if got, ok := j.find(left.prev); ok {
				j.push(uint64(got.rank)<<32 | uint64(left.prev))
			}
		}
	}
}

// The heap is written out because container/heap would box each entry.

func (j *joiner) push(x uint64) {
	q := append(j.queue, x)
	i := len(q) - 1
	for i > 0 && q[(i-1)/2] > x {
		q[i] = q[(i-1)/2]
		i = (i - 1) / 2
	}
	q[i] = x
	j.queue = q
}

func (j *joiner) pop() {
	n := len(j.queue) - 1
	j.queue[0] = j.queue[n]
	j.queue = j.queue[:n]
	if n > 0 {
		j.sink(0)
	}
}

func (j *joiner) sink(i int) {
	q := j.queue
	x := q[i]
	for {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1] < q[child] {
			child++
		}
		if q[child] >= x {
			break
		}
		q[i] = q[child]
		i = child
	}
	q[i] = x
}

// byteTokens returns the ids of <0x00> to <0xFF>, noID for those that are
// missing; nil if all are.
func byteTokens(vocab map[string]int32) *[256]int32 {
	var ids [256]int32
	found := false
	for b := range ids {
		id, ok := vocab[fmt.Sprintf("<0x%02X>", b)]
		if !ok {
			id = noID
		}
		ids[b] = id
		found = found || ok
	}
	if !found {
		return nil
	}
	return &ids
}

// spells says whether each byte of a rune has a token.
func (m *bpe) spells(r string) bool {
	if m.bytes == nil {
		return false
	}
	for i := range len(r) {
		if m.bytes[r[i]] == noID {
			return false
		}
	}
	return true
}

const (
	cachedWords   = 1 << 14
	cachedWordLen = 64 // bytes
)

// wordCache remembers the tokens of short pieces, as words come again and
// again. It is bounded by simply taking no more.
type wordCache struct {
	full  atomic.Bool
	mu    sync.RWMutex
	words map[string][]piece
}

func (c *wordCache) get(text string) ([]piece, bool) {
	if len(text) > cachedWordLen {
		return nil, false
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	word, ok := c.words[text]
	return word, ok
}

func (c *wordCache) put(text string, word []piece) {
	if len(text) > cachedWordLen || c.full.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.words == nil {
		c.words = map[string][]piece{}
	}
	// The copies keep no longer text alive.
	c.words[strings.Clone(text)] = slices.Clone(word)
	c.full.Store(len(c.words) >= cachedWords)
}

// maxScratch is the most symbols that a pooled joiner keeps room for.
const maxScratch = 1 << 16

// trim drops the room that an unusually long piece needed.
func (j *joiner) trim() {
	if cap(j.symbols) > maxScratch || cap(j.queue) > maxScratch {
		j.symbols, j.queue = nil, nil
	}
	j.text = ""
}
