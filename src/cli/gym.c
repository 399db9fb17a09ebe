// tandem gym: writes gym conversations as JSON lines, for training and for measuring.
//
// One line:
// {"family":...,"level":...,"messages":[{"role":"user","content":...},{"role":"assistant","content":...},...]}; test
// lines also carry "key" (hexadecimal). Figures go to standard error, so that the lines can be piped.
#include "base/bytes.h"
#include "cli/command.h"
#include "eval/gym.h"
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define ITEM_LIMIT_BYTES ((size_t)16 << 20)
#define LINE_LIMIT_BYTES ((size_t)1 << 20)
#define MASKED_IN_TRAINING 0.4

struct options {
	int split;
	int64_t seed, n;
	double masked, copies;
	const char *family, *out;
	bool single;
};

static const struct tdm_option table[] = {
    {.name = "split",
     .type = TDM_OPT_CHOICE,
     .offset = offsetof(struct options, split),
     .standard = "train",
     .choices = "train|test",
     .help = "no item of one split can occur in the other"},
    {.name = "seed",
     .type = TDM_OPT_INT,
     .offset = offsetof(struct options, seed),
     .standard = "1",
     .min = 0,
     .max = 9e15,
     .help = "equal seeds give equal lines"},
    {.name = "n",
     .type = TDM_OPT_INT,
     .offset = offsetof(struct options, n),
     .standard = "1000",
     .min = 0,
     .max = 1e9,
     .help = "number of conversations"},
    {.name = "masked",
     .type = TDM_OPT_NUMBER,
     .offset = offsetof(struct options, masked),
     .standard = "-1",
     .min = -1,
     .max = 1,
     .help = "share of passages with typed tokens in the place of values, 0 to 1; -1 = 0.4 for train, 0 for test"},
    {.name = "copies",
     .type = TDM_OPT_NUMBER,
     .offset = offsetof(struct options, copies),
     .standard = "0",
     .min = 0,
     .max = 1,
     .help = "share of training conversations that only copy something, 0 to 1"},
    {.name = "family", .type = TDM_OPT_STRING, .offset = offsetof(struct options, family), .help = "one family alone"},
    {.name = "single",
     .type = TDM_OPT_BOOL,
     .offset = offsetof(struct options, single),
     .standard = "no",
     .help = "one question in every training conversation; tests always have one"},
    {.name = "out",
     .type = TDM_OPT_STRING,
     .offset = offsetof(struct options, out),
     .help = "file to write; standard output if none"},
};

struct figures {
	uint64_t talks, turns, prompt_chars, answer_chars;
	uint64_t of_family[64];
};

static void put_message(struct tdm_bytes *line, const char *role, const char *content) {
	tdm_bytes_printf(line, "{\"role\":\"%s\",\"content\":", role);
	tdm_bytes_json(line, content, strlen(content));
	tdm_bytes_putc(line, '}');
}

static void put_talk(struct tdm_bytes *line, const struct tdm_gym_talk *talk, bool with_key) {
	tdm_bytes_printf(line, "{\"family\":\"%s\",\"level\":%d,", talk->family, talk->level);
	if (with_key)
		tdm_bytes_printf(line, "\"key\":\"%016" PRIx64 "\",", talk->key);
	tdm_bytes_puts(line, "\"messages\":[");
	for (size_t i = 0; i < talk->n_turns; i++) {
		if (i)
			tdm_bytes_putc(line, ',');
		put_message(line, "user", talk->turns[i].prompt);
		tdm_bytes_putc(line, ',');
		put_message(line, "assistant", talk->turns[i].answer);
	}
	tdm_bytes_puts(line, "]}\n");
}

static void add_figures(struct figures *f, const struct tdm_gym_talk *talk) {
	size_t n;
	const struct tdm_gym_family *families = tdm_gym_families(&n);
	f->talks++;
	f->turns += talk->n_turns;
	for (size_t i = 0; i < talk->n_turns; i++) {
		f->prompt_chars += strlen(talk->turns[i].prompt);
		f->answer_chars += strlen(talk->turns[i].answer);
	}
	for (size_t i = 0; i < n && i < 64; i++)
		f->of_family[i] += !strcmp(families[i].name, talk->family);
}

static void show_figures(const struct figures *f) {
	size_t n;
	const struct tdm_gym_family *families = tdm_gym_families(&n);
	double talks = f->talks ? (double)f->talks : 1;
	fprintf(stderr,
	        "conversations %" PRIu64 ", questions %" PRIu64 ", characters %" PRIu64 " (%.1f in a conversation: "
	        "prompts %.1f, answers %.1f)\n",
	        f->talks, f->turns, f->prompt_chars + f->answer_chars, (double)(f->prompt_chars + f->answer_chars) / talks,
	        (double)f->prompt_chars / talks, (double)f->answer_chars / talks);
	for (size_t i = 0; i < n && i < 64; i++)
		fprintf(stderr, "  %-13s %5.1f %%\n", families[i].name, 100.0 * (double)f->of_family[i] / talks);
}

static int write_talk(FILE *file, struct tdm_bytes *line, const struct tdm_gym_options *gym, uint64_t index,
                      struct figures *figures, struct tdm_error *err) {
	struct tdm_arena arena;
	struct tdm_gym_talk talk;
	tdm_arena_init(&arena, ITEM_LIMIT_BYTES);
	int status = tdm_gym_talk(&arena, gym, index, &talk, err);
	if (status)
		goto done;
	tdm_bytes_clear(line);
	put_talk(line, &talk, gym->split == TDM_GYM_TEST);
	add_figures(figures, &talk);
	if (line->failed)
		status = tdm_fail(err, TDM_ENOMEM, "gym: no memory for a line of output");
	else if (fwrite(line->data, 1, line->len, file) != line->len)
		status = tdm_fail(err, TDM_EIO, "gym: cannot write: %s", strerror(errno));
done:
	tdm_arena_release(&arena);
	return status;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_gym_options gym = {.seed = (uint64_t)o->seed, .split = o->split == 1 ? TDM_GYM_TEST : TDM_GYM_TRAIN};
	gym.family = o->family;
	gym.masked = o->masked >= 0 ? o->masked : gym.split == TDM_GYM_TRAIN ? MASKED_IN_TRAINING : 0;
	gym.copies = o->copies;
	gym.single = o->single || gym.split == TDM_GYM_TEST;
	FILE *file = o->out ? fopen(o->out, "w") : stdout;
	if (!file)
		return tdm_fail(call->error, TDM_EIO, "gym: cannot open %s for writing: %s", o->out, strerror(errno));
	struct tdm_bytes line;
	struct figures figures = {0};
	int status = TDM_OK;
	tdm_bytes_init(&line, LINE_LIMIT_BYTES);
	for (int64_t i = 0; i < o->n && !status; i++)
		status = write_talk(file, &line, &gym, (uint64_t)i, &figures, call->error);
	tdm_bytes_release(&line);
	if ((file == stdout ? fflush(file) : fclose(file)) && !status)
		status = tdm_fail(call->error, TDM_EIO, "gym: cannot write: %s", strerror(errno));
	if (!status)
		show_figures(&figures);
	return status;
}

const struct tdm_command tdm_command_gym = {
    .name = "gym",
    .summary = "write tasks with checkable answers, for training and tests",
    .group = "make",
    .options = table,
    .n_options = sizeof table / sizeof *table,
    .options_bytes = sizeof(struct options),
    .run = run,
};
