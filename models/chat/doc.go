// Package chat turns a conversation into the prompt a model was trained on, by
// rendering the chat template that comes with its checkpoint.
//
// [Open] reads the template and the special tokens from a Hugging Face folder,
// [FromConfig] from a tokenizer_config.json in memory, [Parse] takes a template
// as text. [Template.Render] gives exactly the text that Hugging Face's
// apply_chat_template gives, and ends with an error, within [Limits], on a
// template that is hostile or refuses the conversation.
//
// The package imports models/chat/jinja, the language of the templates, and
// the standard library. Pictures are parts of a message's content here; how
// many tokens stand for one is not its business.
package chat
