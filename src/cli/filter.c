// `tandem mask` and `tandem unmask`: filters from standard input to standard output. mask writes tokens in the place of
// private values; unmask puts the values back into an answer. There is no file of values between them: the same key,
// session and original text give the same tokens again.
#include "base/crypto.h"
#include "base/leaves.h"
#include "cli/texts.h"
#include "base/file.h"
#include "privacy/mask/hide.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_LIMIT_BYTES ((size_t)256 << 20)

struct options {
	struct tdm_looking look;
	const char *key, *session;
	bool json;
};

static const struct tdm_option options[] = {
    TDM_LOOKING_OPTIONS(struct options, look),
    {"key", TDM_OPT_STRING, offsetof(struct options, key), NULL, 0, 0, NULL,
     "\"env:NAME\" or \"file:PATH\" of the key tokens are made with; mask without one: random, no way back"},
    {"session", TDM_OPT_STRING, offsetof(struct options, session), "", 0, 0, NULL,
     "name of the conversation: another one, other tokens"},
    {"json", TDM_OPT_BOOL, offsetof(struct options, json), "no", 0, 0, NULL,
     "the text is one JSON document: its strings and numbers, and nothing between them"},
};

struct filter {
	const struct tdm_command_call *call;
	const struct options *options;
	const char *who;
	struct tdm_detector detector;
	struct tdm_hiding hiding;
	struct tdm_leaf *leaves; // of all originals
	size_t n_leaves;
};

static int out_of_memory(struct filter *f) {
	return tdm_fail(f->call->error, TDM_ENOMEM, "%s: out of memory", f->who);
}

// --- hiding

struct originals {
	struct tdm_bytes texts, leaves; // of struct tdm_text, struct tdm_leaf
};

static int add_original(struct filter *f, struct originals *o, const char *text, size_t n) {
	struct tdm_leaf *leaves;
	size_t n_leaves;
	struct tdm_text item = {.text = text, .n = n};
	if (!f->options->json) {
		tdm_bytes_add(&o->texts, &item, sizeof item);
		return TDM_OK;
	}
	int status = tdm_leaves_read(f->call->arena, text, n, &leaves, &n_leaves, f->call->error);
	for (size_t i = 0; i < n_leaves && status == TDM_OK; i++) {
		item = (struct tdm_text){.text = leaves[i].text, .n = leaves[i].n};
		tdm_bytes_add(&o->texts, &item, sizeof item);
		tdm_bytes_add(&o->leaves, &leaves[i], sizeof leaves[i]);
	}
	return status;
}

static void originals_init(struct originals *o) {
	tdm_bytes_init(&o->texts, (size_t)1 << 30);
	tdm_bytes_init(&o->leaves, (size_t)1 << 30);
}

// Hides what was added, and takes it.
static int hide(struct filter *f, struct originals *o) {
	uint8_t master[TDM_SESSION_KEY_BYTES], key[TDM_SESSION_KEY_BYTES];
	struct tdm_arena *arena = f->call->arena;
	struct tdm_error *err = f->call->error;
	size_t n = o->texts.len / sizeof(struct tdm_text);
	f->n_leaves = o->leaves.len / sizeof *f->leaves;
	bool failed = o->texts.failed || o->leaves.failed;
	struct tdm_text *texts =
	    failed ? NULL : (void *)tdm_arena_copy(arena, o->texts.len ? o->texts.data : "", o->texts.len);
	f->leaves = failed ? NULL : (void *)tdm_arena_copy(arena, o->leaves.len ? o->leaves.data : "", o->leaves.len);
	tdm_bytes_release(&o->texts);
	tdm_bytes_release(&o->leaves);
	if (!texts || !f->leaves)
		return out_of_memory(f);
	int status = tdm_master_key(f->who, NULL, f->options->key, master, err);
	if (status == TDM_OK &&
	    (status = tdm_session_key(master, "", f->options->session, (struct tdm_text){.text = "", .n = 0}, key)))
		tdm_fail(err, status, "%s: the key of this session failed", f->who);
	f->hiding = (struct tdm_hiding){.arena = arena,
	                                .detector = &f->detector,
	                                .texts = texts,
	                                .n = n,
	                                .level = (int)f->options->look.level,
	                                .bits = TDM_PAYLOAD_BITS};
	if (status == TDM_OK)
		status = tdm_hide(&f->hiding, key, err);
	tdm_wipe(master, sizeof master);
	tdm_wipe(key, sizeof key);
	return status;
}

// The document with what became of its leaves; a number that became a token is a string from now on.
static void put_document(const struct filter *f, const struct tdm_bytes *input, struct tdm_bytes *out) {
	size_t at = 0;
	for (size_t i = 0; i < f->n_leaves; i++) {
		const struct tdm_leaf *leaf = &f->leaves[i];
		const struct tdm_text *masked = &f->hiding.masked[i];
		if (masked->text == leaf->text)
			continue;
		tdm_bytes_add(out, input->data + at, leaf->start - at);
		tdm_bytes_json(out, masked->text, masked->n);
		at = leaf->end;
	}
	tdm_bytes_add(out, input->data + at, input->len - at);
}

static int open_filter(struct filter *f, const struct tdm_command_call *call, const char *who) {
	*f = (struct filter){.call = call, .options = call->options, .who = who};
	return tdm_looking_open(call, who, &f->options->look, &f->detector);
}

static int mask_input(struct filter *f, const struct tdm_bytes *input) {
	struct originals o;
	struct tdm_bytes out;
	originals_init(&o);
	int status = add_original(f, &o, input->data ? input->data : "", input->len);
	if (status == TDM_OK)
		status = hide(f, &o);
	if (status != TDM_OK)
		return status;
	tdm_bytes_init(&out, (size_t)1 << 30);
	if (f->options->json)
		put_document(f, input, &out);
	else
		tdm_bytes_add(&out, f->hiding.masked[0].text, f->hiding.masked[0].n);
	status = tdm_write_output(f->who, &out, f->call->error);
	tdm_bytes_release(&out);
	return status;
}

static int run_mask(const struct tdm_command_call *call) {
	struct filter f;
	struct tdm_bytes input;
	int status = open_filter(&f, call, "tandem mask");
	if (status == TDM_OK)
		status = tdm_read_input(f.who, &input, call->error);
	if (status == TDM_OK) {
		status = mask_input(&f, &input);
		tdm_bytes_release(&input);
	}
	tdm_detector_close(&f.detector);
	return status;
}

// --- the way back

static int read_originals(struct filter *f) {
	struct originals o;
	const struct tdm_command_call *call = f->call;
	int status = TDM_OK;
	if (!f->options->key || !call->n_operands)
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem unmask: expected --key and the file that was masked; the tokens come from both");
	originals_init(&o);
	for (size_t i = 0; i < call->n_operands && status == TDM_OK; i++) {
		struct tdm_bytes file;
		status = tdm_file_read(call->operands[i], FILE_LIMIT_BYTES, &file, call->error);
		if (status != TDM_OK)
			break;
		char *text = tdm_arena_copy(call->arena, file.data ? file.data : "", file.len);
		status = text ? add_original(f, &o, text, file.len) : out_of_memory(f);
		tdm_bytes_release(&file);
	}
	if (status == TDM_OK)
		return hide(f, &o);
	tdm_bytes_release(&o.texts);
	tdm_bytes_release(&o.leaves);
	return status;
}

static void tell(const struct filter *f, const struct tdm_restore *s) {
	if (s->damaged || s->missed)
		fprintf(stderr, "%s: %ld restored, %ld in the shape of a token stay as they are, %ld in links\n", f->who,
		        s->restored, s->damaged, s->missed);
}

// As it comes: what may go out goes out at once.
static int unmask_text(struct filter *f) {
	char part[65536];
	struct tdm_restore s;
	struct tdm_link link = {0};
	struct tdm_bytes out;
	int status = TDM_OK;
	ssize_t n = 0;
	tdm_restore_init(&s, &f->hiding.restorer, &link, false);
	tdm_bytes_init(&out, (size_t)1 << 30);
	while (status == TDM_OK && ((n = read(STDIN_FILENO, part, sizeof part)) > 0 || (n < 0 && errno == EINTR))) {
		tdm_bytes_clear(&out);
		tdm_restore_put(&s, part, n > 0 ? (size_t)n : 0, &out);
		status = tdm_write_output(f->who, &out, f->call->error);
	}
	if (n < 0)
		status = tdm_fail(f->call->error, TDM_EIO, "%s: standard input: %s", f->who, strerror(errno));
	tdm_bytes_clear(&out);
	tdm_restore_end(&s, &out);
	if (status == TDM_OK)
		status = tdm_write_output(f->who, &out, f->call->error);
	tdm_bytes_release(&out);
	tell(f, &s);
	return status;
}

// Whether the original has the value as a number, and not as a whole string too.
static bool was_a_number(const struct filter *f, const struct tdm_bytes *value) {
	bool number = false;
	for (size_t i = 0; i < f->n_leaves; i++) {
		const struct tdm_leaf *leaf = &f->leaves[i];
		if (leaf->n != value->len || memcmp(leaf->text, value->data, value->len) != 0)
			continue;
		if (leaf->is_string)
			return false;
		number = true;
	}
	return number;
}

static void unmask_leaf(const struct filter *f, const struct tdm_leaf *leaf, struct tdm_restore *sum,
                        struct tdm_bytes *value) {
	struct tdm_restore s;
	struct tdm_link link = {0};
	tdm_restore_init(&s, &f->hiding.restorer, &link, false);
	tdm_bytes_clear(value);
	tdm_restore_put(&s, leaf->text, leaf->n, value);
	tdm_restore_end(&s, value);
	sum->restored += s.restored;
	sum->damaged += s.damaged;
	sum->missed += s.missed;
}

static int unmask_document(struct filter *f, const struct tdm_bytes *input, struct tdm_bytes *out) {
	struct tdm_leaf *leaves;
	struct tdm_restore sum = {0};
	struct tdm_bytes value;
	size_t n, at = 0;
	int status =
	    tdm_leaves_read(f->call->arena, input->data ? input->data : "", input->len, &leaves, &n, f->call->error);
	if (status != TDM_OK)
		return status;
	tdm_bytes_init(&value, (size_t)1 << 30);
	for (size_t i = 0; i < n; i++) {
		long before = sum.restored;
		unmask_leaf(f, &leaves[i], &sum, &value);
		if (sum.restored == before)
			continue;
		tdm_bytes_add(out, input->data + at, leaves[i].start - at);
		if (tdm_token_valid(leaves[i].text, leaves[i].n) && was_a_number(f, &value))
			tdm_bytes_add(out, value.data, value.len);
		else
			tdm_bytes_json(out, value.data, value.len);
		at = leaves[i].end;
	}
	tdm_bytes_add(out, input->data + at, input->len - at);
	tdm_bytes_release(&value);
	tell(f, &sum);
	return TDM_OK;
}

static int unmask_json(struct filter *f) {
	struct tdm_bytes input, out;
	int status = tdm_read_input(f->who, &input, f->call->error);
	if (status != TDM_OK)
		return status;
	tdm_bytes_init(&out, (size_t)1 << 30);
	status = unmask_document(f, &input, &out);
	if (status == TDM_OK)
		status = tdm_write_output(f->who, &out, f->call->error);
	tdm_bytes_release(&input);
	tdm_bytes_release(&out);
	return status;
}

static int run_unmask(const struct tdm_command_call *call) {
	struct filter f;
	int status = open_filter(&f, call, "tandem unmask");
	if (status == TDM_OK)
		status = read_originals(&f);
	if (status == TDM_OK)
		status = f.options->json ? unmask_json(&f) : unmask_text(&f);
	tdm_detector_close(&f.detector);
	return status;
}

const struct tdm_command tdm_command_mask = {
    .name = "mask",
    .summary = "tokens in the place of private values: standard input to standard output",
    .group = "use",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .options_bytes = sizeof(struct options),
    .run = run_mask,
};

const struct tdm_command tdm_command_unmask = {
    .name = "unmask",
    .summary = "the values again in an answer to what mask wrote; with its key, session and text",
    .operands = "ORIGINAL ...",
    .group = "use",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .options_bytes = sizeof(struct options),
    .run = run_unmask,
};
