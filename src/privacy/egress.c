// Egress: see egress.h. It shares the recognisers and the string search with the masker, and nothing of how texts are
// taken apart: a leaf the masker forgot, or a byte that a later stage put back, is found here. Not looked at is what
// dialects write themselves: names of fields outside of free JSON (schemas, arguments), the words of role and type, the
// model of the settings, and the numbers of the documented request format (max_tokens, seed ...).
#include "privacy/egress.h"
#include "base/text.h"
#include "privacy/detect/decode.h"
#include "privacy/detect/evidence.h"
#include <string.h>

#define LIMIT (256u << 20)
#define MAX_DEPTH 128

static int block(struct tdm_error *err, const struct tdm_entity *entity) {
	return tdm_fail(err, TDM_EEGRESS, "egress: a value of type %s would have left in clear; nothing was sent",
	                entity->flags & TDM_ENTITY_ONE_WAY ? entity->label : entity->id);
}

struct look {
	const struct tdm_guarded_egress *egress;
	struct tdm_error *error;
	struct tdm_bytes plain, folded, step; // normal forms of one string
	struct tdm_bytes decoded;             // what it says once its encodings are undone
};

static int on_hard(void *arg, const struct tdm_candidate *c, float score) {
	const struct look *k = arg;
	if (tdm_detector_allows(k->egress->detector, c->text + c->start, c->end - c->start))
		return TDM_OK;
	return block(((struct look *)arg)->error, c->entity);
}

static int on_protected(void *arg, const struct tdm_entity *entity, size_t start, size_t end) {
	return block(((struct look *)arg)->error, entity);
}

static char small(char c) {
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

// Invisible characters out, digits of all scripts to ASCII, then NFKC of the whole.
static int normalise_unicode(struct look *k, const char *text, size_t n) {
	uint32_t c;
	char put[4];
	tdm_bytes_clear(&k->step);
	for (size_t i = 0; i < n;) {
		i += tdm_utf8_next(text + i, n - i, &c);
		c = tdm_plain_character(c);
		if (c)
			tdm_bytes_add(&k->step, put, tdm_utf8_put(put, c));
	}
	const char *step = k->step.data ? k->step.data : "";
	int status = k->step.failed ? TDM_ENOMEM : tdm_nfkc(&k->plain, step, k->step.len, false);
	return status == TDM_OK ? tdm_nfkc(&k->folded, step, k->step.len, true) : status;
}

static int no_memory(struct look *k, size_t n) {
	return tdm_fail(k->error, TDM_ENOMEM, "egress: no memory to look at %zu bytes; nothing was sent", n);
}

static int normalise(struct look *k, const char *text, size_t n) {
	int status = TDM_OK;
	tdm_bytes_clear(&k->plain);
	tdm_bytes_clear(&k->folded);
	if (!tdm_utf8_is_ascii(text, n)) {
		status = normalise_unicode(k, text, n);
	} else {
		tdm_bytes_add(&k->plain, text, n);
		tdm_bytes_add(&k->folded, text, n);
		if (k->folded.data)
			tdm_lower_ascii(k->folded.data, k->folded.len);
	}
	if (status != TDM_OK || k->plain.failed || k->folded.failed)
		return no_memory(k, n);
	return TDM_OK;
}

// The length of "[SECRET:name]" at text[0..n); 0 when it is none.
static size_t mark_bytes(const char *text, size_t n) {
	size_t end = 8;
	if (n < 10 || strncasecmp(text, "[SECRET:", 8) != 0)
		return 0;
	while (end < n && end < 32 && ((text[end] >= 'a' && text[end] <= 'z') || text[end] == '-'))
		end++;
	return end < n && text[end] == ']' ? end + 1 : 0;
}

// Where the first token or mark may begin.
static size_t ours_begin(const struct tdm_automaton *tokens, const char *text, size_t n) {
	size_t token = tdm_automaton_skip(tokens, text, n, true);
	const char *mark = memchr(text, '[', token);
	return mark ? (size_t)(mark - text) : token;
}

// Our own live tokens and the marks of secrets may leave: they are blanked before anything is searched.
static void blank_ours(const struct tdm_guarded_egress *e, char *text, size_t n) {
	const struct tdm_automaton *tokens = e->tokens->automaton;
	uint32_t state = 0, more;
	size_t length;
	for (size_t i = 0; i < n; i++) {
		i += state ? 0 : ours_begin(tokens, text + i, n - i);
		size_t mark = i < n && text[i] == '[' ? mark_bytes(text + i, n - i) : 0;
		if (mark) {
			memset(text + i, TDM_VIEW_BLANK, mark);
			i += mark - 1;
			state = 0;
			continue;
		}
		if (i == n)
			break;
		state = tdm_automaton_step(tokens, state, (unsigned char)small(text[i]));
		if (state && tdm_automaton_match(tokens, state, &length, &more) >= 0) {
			memset(text + i + 1 - length, TDM_VIEW_BLANK, length);
			state = 0;
		}
	}
}

static int look_protected(struct look *k) {
	const struct tdm_guarded_egress *e = k->egress;
	char *text = k->folded.data;
	if (!text)
		return TDM_OK;
	blank_ours(e, text, k->folded.len);
	int status = tdm_dictionary_search(e->protect, text, k->folded.len, on_protected, k);
	return status == TDM_OK ? tdm_dictionary_search(&e->detector->deny, text, k->folded.len, on_protected, k) : status;
}

static int look_hard(struct look *k) {
	const struct tdm_guarded_egress *e = k->egress;
	struct tdm_scan scan;
	char *text = k->plain.data;
	if (!text)
		return TDM_OK;
	blank_ours(e, text, k->plain.len);
	int status = tdm_scanner_scan(e->detector->scanner, text, k->plain.len, &scan, k->error);
	scan.off = e->detector->some_off ? e->detector->off : NULL;
	if (status == TDM_OK)
		status = tdm_evidence(&scan, text, k->plain.len, e->level, true, on_hard, k);
	for (size_t i = 0; i < scan.n_own && status == TDM_OK; i++)
		if (!tdm_detector_allows(e->detector, text + scan.own[i].start, scan.own[i].end - scan.own[i].start))
			status = block(k->error, tdm_entity_deny);
	tdm_scan_release(&scan);
	return status;
}

static int look_as_it_stands(struct look *k, const char *text, size_t n) {
	int status = normalise(k, text, n);
	if (status == TDM_OK)
		status = look_protected(k);
	return status == TDM_OK ? look_hard(k) : status;
}

// Then, with our own tokens gone, at what its encodings hide.
static int look_at(struct look *k, const char *text, size_t n) {
	int status = look_as_it_stands(k, text, n);
	tdm_bytes_clear(&k->decoded);
	if (status == TDM_OK && k->plain.data)
		status = tdm_decode(k->plain.data, k->plain.len, &k->decoded, NULL, k->error);
	return status == TDM_OK && k->decoded.len ? look_as_it_stands(k, k->decoded.data, k->decoded.len) : status;
}

static void look_init(struct look *k, const struct tdm_guarded_egress *e, struct tdm_error *err) {
	*k = (struct look){.egress = e, .error = err};
	tdm_bytes_init(&k->plain, LIMIT);
	tdm_bytes_init(&k->folded, LIMIT);
	tdm_bytes_init(&k->step, LIMIT);
	tdm_bytes_init(&k->decoded, LIMIT);
}

static void look_release(struct look *k) {
	tdm_bytes_release(&k->plain);
	tdm_bytes_release(&k->folded);
	tdm_bytes_release(&k->step);
	tdm_bytes_release(&k->decoded);
}

int tdm_egress_scan_text(const struct tdm_guarded_egress *e, const char *text, size_t n, struct tdm_error *err) {
	struct look k;
	look_init(&k, e, err);
	int status = look_at(&k, text, n);
	look_release(&k);
	return status;
}

// What may stand behind a key and is not looked at.
enum passes { PASS_NOTHING, PASS_NUMBER, PASS_WORD, PASS_STRING };

struct reader { // the second reader of JSON: strict, because what it cannot read is scanned as plain text
	const char *text;
	size_t n, at;
	struct look *look;
	struct tdm_bytes leaf;
	struct tdm_bytes rest; // the text, with blanks where it is not looked at
	enum passes passes;
	bool is_free; // inside of JSON that others wrote: its keys are values
	int status;   // of the looks
};

static char peek(struct reader *r) {
	while (r->at < r->n && memchr(" \t\r\n", r->text[r->at], 4))
		r->at++;
	return r->at < r->n ? r->text[r->at] : 0;
}

static bool take(struct reader *r, char c) {
	if (peek(r) != c || r->at >= r->n)
		return false;
	r->at++;
	return true;
}

static bool hex4(struct reader *r, uint32_t *out) {
	*out = 0;
	for (int i = 0; i < 4; i++, r->at++) {
		char c = r->at < r->n ? (char)(r->text[r->at] | 0x20) : 0;
		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
		*out = *out << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return true;
}

static bool read_unicode(struct reader *r) {
	uint32_t c, low;
	char put[4];
	if (!hex4(r, &c))
		return false;
	if (c >= 0xD800 && c < 0xDC00 && r->at + 1 < r->n && r->text[r->at] == '\\' && r->text[r->at + 1] == 'u') {
		r->at += 2;
		if (!hex4(r, &low) || low < 0xDC00 || low > 0xDFFF)
			return false;
		c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
	}
	tdm_bytes_add(&r->leaf, put, tdm_utf8_put(put, c >= 0xD800 && c <= 0xDFFF ? 0xFFFD : c));
	return true;
}

static bool read_escape(struct reader *r) {
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = r->at < r->n ? r->text[r->at++] : 0;
	if (c == 'u')
		return read_unicode(r);
	const char *p = c ? strchr(from, c) : NULL;
	if (!p)
		return false;
	tdm_bytes_putc(&r->leaf, to[p - from]);
	return true;
}

static bool look_at_leaf(struct reader *r) {
	if (r->status == TDM_OK && r->leaf.failed)
		r->status =
		    tdm_fail(r->look->error, TDM_ENOMEM, "egress: no memory for a string of the body; nothing was sent");
	if (r->status == TDM_OK)
		r->status = look_at(r->look, r->leaf.data ? r->leaf.data : "", r->leaf.len);
	return r->status == TDM_OK;
}

// The bytes of a string up to its end, an escape or what no string may hold.
static void read_run(struct reader *r) {
	size_t from = r->at;
	for (uint64_t x; r->n - r->at >= sizeof x; r->at += sizeof x) {
		memcpy(&x, r->text + r->at, sizeof x);
		uint64_t quote = x ^ TDM_EACH('"'), escape = x ^ TDM_EACH('\\');
		uint64_t any = (quote - TDM_EACH(1)) | (escape - TDM_EACH(1)) | (x - TDM_EACH(' '));
		if (any & ~x & TDM_EACH(0x80)) // one of the three is among the eight
			break;
	}
	while (r->at < r->n && r->text[r->at] != '"' && r->text[r->at] != '\\' && (unsigned char)r->text[r->at] >= ' ')
		r->at++;
	tdm_bytes_add(&r->leaf, r->text + from, r->at - from);
}

static bool read_text(struct reader *r) {
	tdm_bytes_clear(&r->leaf);
	if (!take(r, '"'))
		return false;
	for (read_run(r); r->at < r->n && r->text[r->at] != '"'; read_run(r))
		if (r->text[r->at++] != '\\' || !read_escape(r))
			return false;
	return r->at++ < r->n;
}

// --- what dialects write themselves

#define LONGEST_WORD 32 // a longer one is in no list

// words: with a space on both sides of each.
static bool is_one_of(const struct reader *r, const char *words, size_t n_words) {
	char word[LONGEST_WORD + 2] = " ";
	size_t n = r->leaf.len;
	if (n == 0 || n > LONGEST_WORD || memchr(r->leaf.data, ' ', n))
		return false;
	memcpy(word + 1, r->leaf.data, n);
	word[n + 1] = ' ';
	return memmem(words, n_words, word, n + 2) != NULL;
}
#define IS_ONE_OF(r, words) is_one_of(r, " " words " ", sizeof(words) + 1)

static bool is_field(const struct reader *r) {
	return IS_ONE_OF(r, "arguments cache_prompt call_id content description disable_parallel_tool_use echo "
	                    "encoding_format format function id include include_usage input input_schema instructions "
	                    "json_schema logprobs max_completion_tokens max_output_tokens max_tokens messages min_p model "
	                    "n_predict n_probs name output output_config parallel_tool_calls parameters prompt "
	                    "repeat_penalty response_format role schema seed stop stop_sequences store stream "
	                    "stream_options strict system temperature text tool_call_id tool_calls tool_choice "
	                    "tool_use_id tools top_k top_logprobs top_p type");
}

static bool is_word(const struct reader *r) {
	return IS_ONE_OF(r, "any assistant auto developer float function function_call function_call_output json_object "
	                    "json_schema message message.output_text.logprobs none required system text tool tool_result "
	                    "tool_use user");
}

// Behind this key stands JSON of the client's.
static bool opens_free(const struct reader *r, int depth) {
	return depth == 1 ? IS_ONE_OF(r, "parameters input_schema schema json_schema")
	                  : IS_ONE_OF(r, "parameters input_schema schema input");
}

static enum passes passes_behind(const struct reader *r, int depth) {
	if (depth == 1 && IS_ONE_OF(r, "model"))
		return PASS_STRING;
	if (depth == 1 && IS_ONE_OF(r, "seed max_tokens max_completion_tokens temperature top_p top_k min_p n top_logprobs "
	                               "presence_penalty frequency_penalty"))
		return PASS_NUMBER;
	return !r->is_free && IS_ONE_OF(r, "role type tool_choice include encoding_format") ? PASS_WORD : PASS_NOTHING;
}

static void blank(struct reader *r, size_t from) {
	if (!r->rest.failed)
		memset(r->rest.data + from, TDM_VIEW_BLANK, r->at - from);
}

static bool read_string(struct reader *r) {
	size_t start = r->at;
	if (!read_text(r))
		return false;
	if (r->passes != PASS_STRING && !(r->passes == PASS_WORD && is_word(r)))
		return look_at_leaf(r);
	blank(r, start);
	return true;
}

static bool read_key(struct reader *r, int depth) {
	peek(r);
	size_t start = r->at;
	if (!read_text(r))
		return false;
	bool is_ours = !r->is_free && is_field(r);
	r->passes = passes_behind(r, depth);
	r->is_free = r->is_free || opens_free(r, depth);
	if (!is_ours)
		return look_at_leaf(r);
	blank(r, start);
	return true;
}

static bool read_word(struct reader *r) {
	static const char *const words[] = {"true", "false", "null"};
	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(words[i]);
		if (r->n - r->at >= n && memcmp(r->text + r->at, words[i], n) == 0) {
			r->at += n;
			blank(r, r->at - n);
			return true;
		}
	}
	return false;
}

// A number, true, false or null.
static bool read_scalar(struct reader *r) {
	size_t start = r->at;
	if (read_word(r))
		return true;
	while (r->at < r->n && ((r->text[r->at] >= '0' && r->text[r->at] <= '9') || memchr("+-.eE", r->text[r->at], 5)))
		r->at++;
	if (r->at == start || r->passes == PASS_NUMBER)
		return r->at > start;
	tdm_bytes_clear(&r->leaf);
	tdm_bytes_add(&r->leaf, r->text + start, r->at - start);
	return look_at_leaf(r);
}

static bool read_value(struct reader *r, int depth);

static bool read_member(struct reader *r, int depth) {
	bool is_free = r->is_free;
	if (!read_key(r, depth) || !take(r, ':') || !read_value(r, depth))
		return false;
	r->is_free = is_free;
	return true;
}

static bool read_items(struct reader *r, int depth, char close) {
	if (take(r, close))
		return true;
	do {
		if (close == '}' ? !read_member(r, depth) : !read_value(r, depth))
			return false;
	} while (take(r, ','));
	return take(r, close);
}

static bool read_value(struct reader *r, int depth) {
	char c = peek(r);
	if (c == '"')
		return read_string(r);
	if (c != '{' && c != '[')
		return read_scalar(r);
	r->at++;
	return depth < MAX_DEPTH && read_items(r, depth + 1, c == '{' ? '}' : ']');
}

// Every string and key of the body that dialects do not write themselves, and then the rest of it as one text.
int tdm_egress_scan(struct tdm_egress *self, const char *bytes, size_t n, struct tdm_error *err) {
	struct tdm_guarded_egress *e = (struct tdm_guarded_egress *)self;
	struct look k;
	struct reader r = {.text = bytes, .n = n, .look = &k};
	look_init(&k, e, err);
	tdm_bytes_init(&r.leaf, LIMIT);
	tdm_bytes_init(&r.rest, LIMIT);
	tdm_bytes_add(&r.rest, bytes, n);
	char first = peek(&r);
	bool json = (first == '{' || first == '[') && read_value(&r, 0) && !peek(&r) && r.at == n;
	const char *rest = json && r.rest.data ? r.rest.data : bytes;
	int status = r.status;
	if (status == TDM_OK && r.rest.failed)
		status = no_memory(&k, n);
	if (status == TDM_OK)
		status = normalise(&k, rest, n);
	if (status == TDM_OK)
		status = look_protected(&k);
	if (status == TDM_OK && !json)
		status = look_hard(&k);
	tdm_bytes_release(&r.leaf);
	tdm_bytes_release(&r.rest);
	look_release(&k);
	return status;
}
