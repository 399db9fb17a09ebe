#include "quality/prompts.h"
#include "base/bytes.h"
#include <string.h>

// The wording of "draft" is the one that the embedded large model was taught to read.
static const struct tdm_prompt table[] = {
    {"draft", "{prompt}\nHint ({sure}% sure): {answer}"},
    {"label", "{prompt}\nSmall model prediction: {answer} (confidence {confidence})\nLabel:"},
};

const struct tdm_prompt *tdm_prompts(size_t *n) {
	*n = sizeof table / sizeof *table;
	return table;
}

const struct tdm_prompt *tdm_prompt_find(const char *name) {
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

static bool begins(const char *at, const char *mark) {
	return !strncmp(at, mark, strlen(mark));
}

char *tdm_prompt_fill(struct tdm_arena *arena, const struct tdm_prompt *p, const struct tdm_prompt_words *words,
                      size_t *n) {
	struct tdm_bytes out;
	char *text = NULL;
	tdm_bytes_init(&out, strlen(p->text) + words->n_prompt + words->n_answer + 64);
	for (const char *at = p->text; *at;) {
		if (begins(at, "{prompt}"))
			tdm_bytes_add(&out, words->prompt, words->n_prompt);
		else if (begins(at, "{answer}"))
			tdm_bytes_add(&out, words->answer, words->n_answer);
		else if (begins(at, "{sure}"))
			tdm_bytes_printf(&out, "%d", words->percent);
		else if (begins(at, "{confidence}"))
			tdm_bytes_printf(&out, "%.2f", words->percent / 100.0);
		else {
			tdm_bytes_putc(&out, *at++);
			continue;
		}
		at = strchr(at, '}') + 1;
	}
	*n = out.len;
	if (!out.failed)
		text = tdm_arena_copy(arena, out.data, out.len);
	tdm_bytes_release(&out);
	return text;
}
