// Package jinja parses and renders chat templates: the Jinja language as
// Hugging Face configures it. That is jinja2's immutable sandbox with
// trim_blocks and lstrip_blocks, the loop controls extension, the generation
// tag, JSON without escaping, and the functions raise_exception and
// strftime_now, working on Python values with Python's text forms, string
// methods and ordering of dictionaries.
//
// Templates come with checkpoints, so they are hostile until proven otherwise.
// Every rendering runs under [Limits] on steps, time, output, value sizes,
// total memory and depth; no template can crash, hang or exhaust the process.
// A template reaches nothing but the variables it is given: no files, no other
// templates, no attributes of Go values.
//
// The interpreter is our own because the established one, gonja v2.9.1, can
// neither be bounded (of the 25 hostile templates in the test data, recursion
// overflows the stack and a wide format allocates 100 GB, both fatal to a Go
// process, and four loops never end) nor keep a dictionary's order, which
// tojson prints.
//
// What is left out: autoescaping, templates in other files, lipsum, integers
// beyond 308 digits and the filters random, urlize and pprint; using them is an
// error. Filters that are generators in Python compute their items at once, so
// one that nobody reads may fail here and not there. Addresses in the text form
// of functions and generators are left out.
//
// The package imports the standard library and golang.org/x/text/cases.
package jinja
