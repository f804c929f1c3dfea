package models

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/heddle-ml/heddle/models/token"
)

// prompt is a conversation as the language model reads it.
type prompt struct {
	ids      []int32
	places   []place // what each id stands for; nil without pictures
	rowBytes int     // of one image embedding
}

// place is the image embedding that takes a token's place: a row of a
// picture's. The zero value is text.
type place struct {
	picture *Picture
	row     int32
}

// source tells image tokens with different embeddings apart: they share one
// token id. It holds no picture, so that the cache of a long conversation
// does not keep pictures alive. The zero value is text.
type source struct {
	sum uint64 // the picture's
	row int32
}

// seed of the pictures' sums: they are compared within a process only.
var seed = maphash.MakeSeed()

// embed returns the image embedding in the place of token i, nil for text.
func (p *prompt) embed(i int) []byte {
	if p.places == nil || p.places[i].picture == nil {
		return nil
	}
	at := p.places[i]
	return at.picture.embeds[int(at.row)*p.rowBytes : (int(at.row)+1)*p.rowBytes]
}

func (p *prompt) source(i int) source {
	if p.places == nil || p.places[i].picture == nil {
		return source{}
	}
	return source{p.places[i].picture.sum, p.places[i].row}
}

// prompt renders the conversation up to where the model's answer begins.
func (s *Session) prompt(ctx context.Context) (*prompt, error) {
	text, err := s.m.render(ctx, s.messages, true)
	if err != nil {
		return nil, err
	}
	return s.m.embedPictures(text, s.pictures)
}

// embedPictures replaces the markers in a rendered conversation by what
// stands for its pictures and turns it into tokens.
func (m *Model) embedPictures(text string, pictures []*Picture) (*prompt, error) {
	if m.images != nil {
		var err error
		if text, err = m.expand(text, pictures); err != nil {
			return nil, err
		}
	}
	ids, err := m.tok.Encode(text, token.EncodeOptions{ParseSpecial: true, AddSpecial: m.template == nil})
	if err != nil {
		return nil, fmt.Errorf("models: %w", err)
	}
	p := &prompt{ids: ids}
	if m.images == nil {
		return p, nil
	}
	p.places = make([]place, len(ids))
	p.rowBytes = 4 * int(m.desc.Vision.Width)
	have, want := 0, 0
	for _, x := range pictures {
		want += x.tokens
	}
	rest, row := pictures, 0
	for i, id := range ids {
		if int64(id) != m.images.Token {
			continue
		}
		have++
		for len(rest) > 0 && row == rest[0].tokens {
			rest, row = rest[1:], 0
		}
		if len(rest) > 0 {
			p.places[i] = place{rest[0], int32(row)}
			row++
		}
	}
	if have != want {
		return nil, fmt.Errorf("models: the prompt has %d places for image embeddings, the pictures have %d: do not write %q yourself", have, want, m.images.TokenText)
	}
	return p, nil
}

// expand writes what stands for each picture in the place of its marker.
func (m *Model) expand(text string, pictures []*Picture) (string, error) {
	if n := strings.Count(text, m.images.Marker); n != len(pictures) {
		return "", fmt.Errorf("models: the conversation holds %d pictures, but its text has %q %d times: do not write the marker yourself", len(pictures), m.images.Marker, n)
	}
	piece := func(id int64) string {
		s, _ := m.tok.Piece(int32(id))
		return s
	}
	var b strings.Builder
	for _, p := range pictures {
		before, after, _ := strings.Cut(text, m.images.Marker)
		b.WriteString(before)
		b.WriteString(m.images.Expand(p.Grid, piece))
		text = after
	}
	b.WriteString(text)
	return b.String(), nil
}
