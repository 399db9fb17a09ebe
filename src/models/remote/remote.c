// Remote: a model behind an endpoint of somebody else's, as a kind: its options, its keys, and what a call of it does
// before and after the sending, which is remote_send.c. What the endpoint speaks is a dialect; a new one is a file and
// a line in `dialects`.
#include "models/remote/remote.h"
#include "base/clock.h"
#include "base/secret.h"
#include "models/form.h"
#include "models/sources.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_LIMIT_BYTES 8192
#define BODY_LIMIT_BYTES ((size_t)64 << 20)
#define PROMPT_LIMIT_BYTES ((size_t)64 << 20)

static const struct tdm_dialect *const dialects[] = {&tdm_dialect_openai, &tdm_dialect_completions,
                                                     &tdm_dialect_responses, &tdm_dialect_anthropic,
                                                     &tdm_dialect_llama}; // in the order of the option

#define FORMATS "openai|completions|responses|anthropic|llama"

// --- asking

static const struct {
	const char *name;
	unsigned bit;
} settings[] = {
    {"top_k", TDM_KNOWS_TOP_K}, {"min_p", TDM_KNOWS_MIN_P},       {"repeat_penalty", TDM_KNOWS_REPEAT_PENALTY},
    {"seed", TDM_KNOWS_SEED},   {"logprobs", TDM_KNOWS_LOGPROBS},
};

static unsigned wishes_of(const struct tdm_request *rq) {
	unsigned wishes = 0;
	wishes |= rq->top_k > 0 ? TDM_KNOWS_TOP_K : 0;
	wishes |= rq->min_p > 0 ? TDM_KNOWS_MIN_P : 0;
	wishes |= rq->repeat_penalty > 0 && rq->repeat_penalty != 1 ? TDM_KNOWS_REPEAT_PENALTY : 0;
	wishes |= rq->wants_seed ? TDM_KNOWS_SEED : 0;
	return wishes | (rq->logprobs ? TDM_KNOWS_LOGPROBS : 0);
}

static void warn_ignored(const struct tdm_remote *r, struct tdm_run *run, const struct tdm_request *rq) {
	unsigned ignored = wishes_of(rq) & ~(r->dialect->knows | r->asking.forward);
	for (size_t i = 0; i < TDM_COUNT(settings); i++)
		if (ignored & settings[i].bit)
			tdm_record_warn(run->record, "parameter_ignored", settings[i].name,
			                "the setting is not part of the upstream's interface");
}

static int too_large(const struct tdm_remote *r, struct tdm_run *run) {
	return tdm_fail(&run->error, TDM_ETOOLARGE, "model %s: the request is larger than %zu MiB", r->model.name,
	                BODY_LIMIT_BYTES >> 20);
}

// The prompt that the upstream makes of the messages, in run->arena.
static int fetch_prompt(struct tdm_remote *r, struct tdm_run *run, const struct tdm_request *rq,
                        struct tdm_asking *asking) {
	struct tdm_bytes body, whole;
	struct tdm_result result;
	struct tdm_value *answer = NULL;
	tdm_bytes_init(&body, BODY_LIMIT_BYTES);
	tdm_bytes_init(&whole, PROMPT_LIMIT_BYTES);
	tdm_write_string(&body, "{\"model\":", asking->model);
	tdm_write_messages(&body, rq);
	tdm_bytes_putc(&body, '}');
	struct tdm_remote_ask ask = {r, run, rq, r->prompt_url, &body, NULL, &result, &whole};
	int status = body.failed ? too_large(r, run) : tdm_remote_send(&ask);
	if (!status && whole.len)
		tdm_json_parse(run->arena, whole.data, whole.len, &answer, NULL);
	const struct tdm_value *prompt = tdm_get(answer, "prompt");
	if (!status && (!prompt || prompt->type != TDM_STRING))
		status =
		    tdm_fail(&run->error, TDM_EBADBODY, "model %s: the upstream made no prompt of the messages", r->model.name);
	asking->prompt = status ? NULL : prompt->text;
	asking->n_prompt = status ? 0 : prompt->len;
	tdm_bytes_release(&body);
	tdm_bytes_release(&whole);
	return status;
}

// What this dialect has no words for, and what it has to know before.
static int prepare(struct tdm_remote *r, struct tdm_run *run, const struct tdm_request *rq, struct tdm_asking *asking,
                   struct tdm_result *result) {
	bool wants_echo = rq->raw && rq->raw->echo;
	if (rq->form && !(r->dialect->can & TDM_CAN_FORM && tdm_form_is_json(rq->form)))
		return tdm_fail_param(&run->error, TDM_ECAPABILITY, TDM_FORM_FIELD, TDM_CANNOT_FORM, r->model.name);
	if (rq->raw && !r->dialect->takes_raw)
		return tdm_cannot(run, "prompt", "the upstream takes conversations only, not a text to be continued");
	if (wants_echo && !(r->model.can & TDM_CAN_ECHO))
		return tdm_cannot(run, "echo", "the upstream is not said to give the tokens of a prompt");
	if (wants_echo)
		return tdm_remote_echo(r, run, rq, result);
	return r->prompt_url && !rq->raw ? fetch_prompt(r, run, rq, asking) : TDM_OK;
}

static int ask_for_words(struct tdm_remote *r, struct tdm_run *run, const struct tdm_request *rq,
                         const struct tdm_asking *asking, struct tdm_sink *sink, struct tdm_result *result) {
	struct tdm_bytes body;
	tdm_bytes_init(&body, BODY_LIMIT_BYTES);
	int status = r->dialect->write(&body, asking, run, rq);
	warn_ignored(r, run, rq);
	if (!status && body.failed)
		status = too_large(r, run);
	struct tdm_remote_ask ask = {r, run, rq, r->url, &body, sink, result, NULL};
	if (!status)
		status = tdm_remote_send(&ask);
	tdm_bytes_release(&body);
	return status;
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq, struct tdm_sink *sink,
                    struct tdm_result *result) {
	struct tdm_remote *r = (struct tdm_remote *)m;
	struct tdm_asking asking = r->asking;
	int status = prepare(r, run, rq, &asking, result);
	if (status || !(rq->raw && rq->raw->only_echo))
		return status ? status : ask_for_words(r, run, rq, &asking, sink, result);
	result->finish = TDM_FINISH_LENGTH;
	result->completion_tokens = 0;
	return TDM_OK;
}

// --- making one

static void destroy(struct tdm_model *m) {
	struct tdm_remote *r = (struct tdm_remote *)m;
	tdm_http_free(r->http);
	for (size_t i = 0; i < TDM_KEYS_MAX; i++)
		tdm_http_headers_free(r->keys.items[i].headers);
	pthread_mutex_destroy(&r->keys.lock);
	tdm_breaker_release(&r->breaker);
}

static bool ends_with_version(const char *url, size_t n) {
	size_t at = n;
	while (at > 0 && url[at - 1] >= '0' && url[at - 1] <= '9')
		at--;
	return at < n && at >= 2 && url[at - 1] == 'v' && url[at - 2] == '/';
}

static bool ends_with(const char *url, size_t n, const char *end) {
	size_t length = strlen(end);
	return n > length && !memcmp(url + n - length, end, length);
}

// The endpoint of `path` from a base with or without its version, or from the URL of the dialect's own endpoint.
static const char *endpoint(const struct tdm_build *b, const struct tdm_remote *r, const char *path, bool is_root) {
	const char *url = r->options.url;
	size_t n = strlen(url);
	while (url[n - 1] == '/')
		n--;
	bool is_whole = ends_with(url, n, r->dialect->path);
	if (is_whole)
		n -= strlen(r->dialect->path);
	if (is_root && ends_with(url, n, "/v1"))
		n -= 3;
	const char *version = is_whole || is_root || ends_with_version(url, n) ? "" : "/v1";
	return tdm_arena_printf(b->arena, "%.*s%s%s", (int)n, url, version, path);
}

static int read_url(const struct tdm_build *b, struct tdm_remote *r) {
	const char *url = r->options.url;
	char host[300];
	if (!url || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: expected url: \"https://HOST/v1\"", b->where);
	if (!tdm_http_url_is_plain(url, host, sizeof host, b->error))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: expected a url of scheme, host and path alone; a key goes into key: \"env:NAME\"",
		                b->where);
	const struct tdm_dialect *d = r->dialect;
	r->host = tdm_arena_string(b->arena, host);
	r->url = endpoint(b, r, d->path, d->is_root);
	r->embed_url = endpoint(b, r, "/embeddings", false);
	r->prompt_url = d->prompt_path ? endpoint(b, r, d->prompt_path, d->is_root) : NULL;
	return r->host && r->url && r->embed_url ? TDM_OK
	                                         : tdm_fail(b->error, TDM_ENOMEM, "%s: no memory for the url", b->where);
}

static const char *path_of(const struct tdm_build *b, const char *path) {
	return *path == '/' || !b->folder ? path : tdm_arena_printf(b->arena, "%s/%s", b->folder, path);
}

static int read_key(const struct tdm_build *b, const char *key, struct tdm_bytes *out) {
	char where[256];
	snprintf(where, sizeof where, "%s: key", b->where);
	return tdm_secret_line(where, b->folder, key, KEY_LIMIT_BYTES, out, b->error);
}

// key NULL: the upstream wants none.
static int add_headers(const struct tdm_build *b, struct tdm_remote *r, const char *key) {
	struct tdm_http_headers **list = &r->keys.items[r->keys.n++].headers;
	struct tdm_bytes secret, line;
	int status = TDM_OK;
	bool ok = tdm_http_header(list, "Content-Type: application/json") &&
	          tdm_http_header(list, "Accept: text/event-stream") &&
	          tdm_http_header(list, "Accept-Encoding: identity") &&
	          tdm_http_header(list, "Expect:") && // no round trip before the body
	          (!r->dialect->header || tdm_http_header(list, r->dialect->header));
	tdm_bytes_init(&secret, KEY_LIMIT_BYTES);
	tdm_bytes_init(&line, KEY_LIMIT_BYTES + 64);
	if (ok && key && !(status = read_key(b, key, &secret))) {
		tdm_bytes_printf(&line, "%s: %s%s", r->dialect->key_header, r->dialect->key_prefix, secret.data);
		ok = !line.failed && tdm_http_header(list, line.data);
	}
	tdm_secret_wipe(&line);
	tdm_secret_wipe(&secret);
	return ok || status ? status : tdm_fail(b->error, TDM_ENOMEM, "%s: no memory for its headers", b->where);
}

static int read_keys(const struct tdm_build *b, struct tdm_remote *r) {
	const struct tdm_strings *keys = &r->options.keys;
	if (keys->n > TDM_KEYS_MAX || (keys->n && r->options.key))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: expected key, or keys with at most %d of them", b->where,
		                TDM_KEYS_MAX);
	r->keys.model = b->name;
	int status = keys->n ? TDM_OK : add_headers(b, r, r->options.key);
	for (size_t i = 0; i < keys->n && !status; i++)
		status = add_headers(b, r, keys->items[i]);
	return status;
}

static int read_forward(const struct tdm_build *b, struct tdm_remote *r) {
	const struct tdm_strings *names = &r->options.forward;
	for (size_t i = 0; i < names->n; i++) {
		size_t k = 0;
		while (k < 3 && strcmp(names->items[i], settings[k].name) != 0)
			k++;
		if (k == 3)
			return tdm_fail(b->error, TDM_ECONFIG, "%s: forward: %s is none of top_k, min_p and repeat_penalty",
			                b->where, names->items[i]);
		r->asking.forward |= settings[k].bit;
	}
	return TDM_OK;
}

static int read_options(const struct tdm_build *b, struct tdm_remote *r) {
	struct tdm_remote_options *o = &r->options;
	if (!o->model)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: expected model: the upstream's name of the model", b->where);
	if (o->ca && !(o->ca = path_of(b, o->ca)))
		return tdm_fail(b->error, TDM_ENOMEM, "%s: no memory for a path", b->where);
	if (o->score && r->dialect != &tdm_dialect_completions)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: score: only an endpoint of format completions can echo a prompt",
		                b->where);
	if (o->embed && (o->score || r->dialect != &tdm_dialect_openai))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: embed: only an endpoint of format openai makes vectors", b->where);
	if (!o->idle_ms)
		o->idle_ms = o->timeout_ms < 30000 ? o->timeout_ms : 30000;
	r->asking.model = o->model;
	r->asking.max_tokens = o->max_tokens;
	r->asking.temperature = o->temperature;
	int status = read_url(b, r);
	return status ? status : read_forward(b, r);
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate, .destroy = destroy},
	                                  embedding = {.embed_all = tdm_remote_embed, .destroy = destroy},
	                                  scoring = {.generate = generate, .score = tdm_remote_score, .destroy = destroy};
	const struct tdm_remote_options *o = options;
	const struct tdm_dialect *dialect = dialects[o->format];
	unsigned more = o->score ? TDM_CAN_SCORE | TDM_CAN_ECHO : 0;
	const struct tdm_model_ops *used = o->embed ? &embedding : o->score ? &scoring : &ops;
	struct tdm_remote *r =
	    tdm_build_model(b, sizeof *r, used, o->embed ? (unsigned)TDM_CAN_EMBED : dialect->can | more);
	if (!r)
		return TDM_ENOMEM;
	r->options = *o;
	r->dialect = dialect;
	r->model.leaves = true;
	r->model.cuts_vectors = o->cuts_vectors;
	int status = read_options(b, r);
	if (status)
		return status;
	if (pthread_mutex_init(&r->keys.lock, NULL) != 0)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: no lock", b->where);
	tdm_breaker_init(&r->breaker);
	const char *upstream = b->state ? tdm_arena_printf(b->arena, "%s:%s", r->host, r->asking.model) : NULL;
	if (upstream && tdm_breaker_share(&r->breaker, b->arena, b->state, upstream, NULL))
		return tdm_fail(b->error, TDM_ENOMEM, "%s: no memory for the name of the upstream", b->where);
	struct tdm_http_options http = {r->options.ca, r->options.connect_timeout_ms};
	r->http = tdm_http_new(&http);
	status = r->http ? read_keys(b, r) : tdm_fail(b->error, TDM_ENOMEM, "%s: no memory for connections", b->where);
	if (status)
		destroy(&r->model);
	else
		*out = &r->model;
	return status;
}

static const char *vendor_of(const char *host) {
	static const char *const known[][2] = {
	    {"openai.azure.com", "azure.ai.openai"},
	    {"openai.com", "openai"},
	    {"anthropic.com", "anthropic"},
	    {"amazonaws.com", "aws.bedrock"},
	    {"googleapis.com", "gcp.gemini"},
	    {"mistral.ai", "mistral_ai"},
	    {"groq.com", "groq"},
	    {"deepseek.com", "deepseek"},
	    {"x.ai", "x_ai"},
	    {"cohere.com", "cohere"},
	    {"perplexity.ai", "perplexity"},
	};
	size_t n = strcspn(host, ":");
	for (size_t i = 0; i < TDM_COUNT(known); i++) {
		size_t len = strlen(known[i][0]);
		if (n >= len && !strncmp(host + n - len, known[i][0], len) && (n == len || host[n - len - 1] == '.'))
			return known[i][1];
	}
	return NULL;
}

bool tdm_remote_place(const struct tdm_model *m, struct tdm_remote_place *out) {
	const struct tdm_remote *r = (const struct tdm_remote *)m;
	if (m->kind != &tdm_kind_remote)
		return false;
	const char *vendor = vendor_of(r->host), *colon = strrchr(r->host, ':');
	out->host = r->host;
	out->n_host = colon ? (size_t)(colon - r->host) : strlen(r->host);
	out->port = colon ? (int)strtol(colon + 1, NULL, 10) : strncmp(r->url, "https:", 6) ? 80 : 443;
	out->provider = vendor ? vendor : !strcmp(r->dialect->name, "anthropic") ? "anthropic" : "openai";
	out->model = r->options.model ? r->options.model : m->name;
	return true;
}

bool tdm_remote_own(const struct tdm_model *m, double *temperature, int64_t *max_tokens) {
	const struct tdm_remote *r = (const struct tdm_remote *)m;
	if (m->kind != &tdm_kind_remote)
		return false;
	*temperature = r->asking.temperature;
	*max_tokens = r->asking.max_tokens;
	return true;
}

bool tdm_remote_is_open(struct tdm_model *m) {
	return m->kind == &tdm_kind_remote && tdm_breaker_is_open(&((struct tdm_remote *)m)->breaker);
}

#define AT(name) offsetof(struct tdm_remote_options, name)
static const struct tdm_option remote_options[] = {
    {"url", TDM_OPT_STRING, AT(url), NULL, 0, 0, NULL, "base of the endpoint, such as https://api.example.com/v1"},
    {"model", TDM_OPT_STRING, AT(model), NULL, 0, 0, NULL, "the upstream's name of the model"},
    {"format", TDM_OPT_CHOICE, AT(format), "openai", 0, 0, FORMATS,
     "what the endpoint speaks: chat completions, completions, responses, messages, llama-server's completion"},
    {"key", TDM_OPT_STRING, AT(key), NULL, 0, 0, NULL, "env:NAME or file:PATH; absent = no key"},
    {"keys", TDM_OPT_LIST, AT(keys), NULL, 0, 0, NULL,
     "several of them, used in turn; one that is refused or limited rests, and the next one is used"},
    {"ca", TDM_OPT_STRING, AT(ca), NULL, 0, 0, NULL,
     "file of the certificates to trust instead of the system's; they are always verified"},
    {"connect_timeout_ms", TDM_OPT_INT, AT(connect_timeout_ms), "5000", 1, 600000, NULL, "wait for a connection, ms"},
    {"timeout_ms", TDM_OPT_INT, AT(timeout_ms), "60000", 1, 3600000, NULL, "wait for the first byte, ms"},
    {"first_token_ms", TDM_OPT_INT, AT(first_token_ms), "0", 0, 3600000, NULL,
     "wait for the first words, ms, whatever else comes before them; 0 = no limit of its own"},
    {"idle_ms", TDM_OPT_INT, AT(idle_ms), "0", 0, 3600000, NULL,
     "wait for the next byte, ms; 0 = 30000, or timeout_ms where that is shorter"},
    {"token_ms", TDM_OPT_INT, AT(token_ms), "0", 0, 3600000, NULL,
     "wait for the next words, ms, whatever else comes between them; 0 = no limit of its own"},
    {"min_rate", TDM_OPT_INT, AT(min_rate), "8", 0, 1 << 20, NULL,
     "bytes a second, over rate_window_ms; slower than that the upstream is given up; 0 = as slow as it likes"},
    {"rate_window_ms", TDM_OPT_INT, AT(rate_window_ms), "20000", 100, 600000, NULL, "of min_rate, ms"},
    {"score", TDM_OPT_BOOL, AT(score), "no", 0, 0, NULL,
     "format completions: the endpoint echoes a prompt with its logprobs, so that it can judge texts of others"},
    {"embed", TDM_OPT_BOOL, AT(embed), "no", 0, 0, NULL, "the upstream's model makes vectors of texts, and no words"},
    {"embed_batch", TDM_OPT_INT, AT(embed_batch), "256", 1, 2048, NULL,
     "most texts in one request for vectors; as many as the upstream takes are the fewest requests"},
    {"cuts_vectors", TDM_OPT_BOOL, AT(cuts_vectors), "no", 0, 0, NULL,
     "its vectors may be cut to their first numbers (requests with dimensions): only models trained for it"},
    {"max_tokens", TDM_OPT_INT, AT(max_tokens), "0", 0, 1 << 24, NULL, "longest answer, tokens; 0 = the upstream's"},
    {"temperature", TDM_OPT_NUMBER, AT(temperature), "-1", -1, 2, NULL, "negative = the upstream's own"},
    {"trace", TDM_OPT_BOOL, AT(trace), "no", 0, 0, NULL,
     "send the upstream a traceparent, so that its spans join those of telemetry"},
    {"breaker", TDM_OPT_BOOL, AT(breaker), "yes", 0, 0, NULL,
     "leave the upstream alone after 5 failures in 10 s, but for a probe now and then; slow down when it asks for "
     "that"},
    {"forward", TDM_OPT_LIST, AT(forward), NULL, 0, 0, NULL,
     "settings that the upstream knows beyond the common ones: top_k, min_p, repeat_penalty"},
};

const struct tdm_kind tdm_kind_remote = {
    .name = "remote",
    .summary = "a model behind an endpoint of somebody else's",
    .family = TDM_SOURCE,
    .options = remote_options,
    .n_options = TDM_COUNT(remote_options),
    .options_bytes = sizeof(struct tdm_remote_options),
    .create = create,
};
