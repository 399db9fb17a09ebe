// Shared in a Valkey or Redis server. This is the only file that knows hiredis.
//
// The rules it protects: what is checked and taken together is one script, which the server runs alone; its clock
// counts, so replicas need not agree about the time; nobody waits longer than timeout_ms, and after a failure the
// server is left alone for RETRY_US, then asked by one request first. `lock` guards the connections that nobody uses.
#include "base/clock.h"
#include "base/library.h"
#include "base/log.h"
#include "base/random.h"
#include "ledger/shared_parts.h"
#include <hiredis.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CALLS(X)       \
	X(freeReplyObject) \
	X(redisCommand)    \
	X(redisCommandArgv) X(redisConnectUnixWithTimeout) X(redisConnectWithTimeout) X(redisFree) X(redisSetTimeout)
TDM_LIBRARY(lib, TDM_SO_hiredis, CALLS);

#define RETRY_US 1000000
#define STANDARD_PORT 6379
#define ARGS_OF_A_CLAIM 7

enum { N_IDLE_LIMIT = 64, MOST_CLAIMS = 64, TEXT_BYTES = 32, NAME_BYTES = 256 };

// KEYS: one for each claim. ARGV: "1" to take, "0" to look; for each claim meter, limit, amount, period in
// microseconds, window, holder, what was used (not looked at). Answer: 0 or the first claim without room, its wait and
// what is left; then the window and what is left of each.
static const char claim_script[] =
    "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] local out, mine = {0, 0, 0}, {} "
    "for i, key in ipairs(KEYS) do local b = 2 + (i - 1) * 7 local room, wait, left "
    "local meter, limit, amount = ARGV[b], tonumber(ARGV[b + 1]), tonumber(ARGV[b + 2]) "
    "local period, window = tonumber(ARGV[b + 3]), tonumber(ARGV[b + 4]) "
    "if meter == '0' then local h = redis.call('HMGET', key, 'level', 'at') "
    "local level, at = tonumber(h[1] or limit), tonumber(h[2] or now) "
    "if now > at then level = level + (now - at) * limit / period end level = math.min(level, limit) "
    "local need = math.min(amount, limit) room = level >= need left = math.max(0, math.floor(level)) "
    "wait = math.floor((need - level) * period / limit) + 1 mine[i] = level "
    "elseif meter == '1' then local h = redis.call('HMGET', key, 'used', 'window') "
    "local used, w = tonumber(h[1] or 0), tonumber(h[2] or window) if window > w then used = 0 w = window end "
    "left = math.max(0, limit - used) room = amount <= left wait = period window = w mine[i] = used "
    "else redis.call('ZREMRANGEBYSCORE', key, '-inf', now) left = math.max(0, limit - redis.call('ZCARD', key)) "
    "room = amount <= left wait = 0 end "
    "if not room and ARGV[1] == '1' then return {i, wait, left} end "
    "if ARGV[1] == '1' then left = math.max(0, left - amount) end out[#out + 1] = window out[#out + 1] = left end "
    "if ARGV[1] ~= '1' then return out end "
    "for i, key in ipairs(KEYS) do local b = 2 + (i - 1) * 7 "
    "local limit, amount, period = tonumber(ARGV[b + 1]), tonumber(ARGV[b + 2]), tonumber(ARGV[b + 3]) "
    "if ARGV[b] == '0' then local level = mine[i] - amount "
    "redis.call('HSET', key, 'level', string.format('%.17g', level), 'at', string.format('%.0f', now)) "
    "redis.call('PEXPIRE', key, string.format('%.0f', math.ceil((limit - level) * period / limit / 1000) + 1000)) "
    "elseif ARGV[b] == '1' then "
    "redis.call('HSET', key, 'used', string.format('%.0f', mine[i] + amount), 'window', "
    "string.format('%.0f', out[2 + 2 * i])) "
    "if period > 0 then redis.call('PEXPIRE', key, string.format('%.0f', period / 1000 + 172800000)) end "
    "elseif amount > 0 then redis.call('ZADD', key, string.format('%.0f', now + period), ARGV[b + 5]) "
    "redis.call('PEXPIRE', key, string.format('%.0f', period / 1000 + 1000)) end end return out";

// The same KEYS and ARGV, the first of which is not looked at.
static const char settle_script[] =
    "for i, key in ipairs(KEYS) do local b = 2 + (i - 1) * 7 local limit = tonumber(ARGV[b + 1]) "
    "local more = tonumber(ARGV[b + 6]) - tonumber(ARGV[b + 2]) "
    "if ARGV[b] == '0' then local t = redis.call('TIME') local now = t[1] * 1000000 + t[2] "
    "local h = redis.call('HMGET', key, 'level', 'at') local level, at = tonumber(h[1] or limit), h[2] or "
    "string.format('%.0f', now) level = math.min(limit, level - more) "
    "redis.call('HSET', key, 'level', string.format('%.17g', level), 'at', at) "
    "redis.call('PEXPIRE', key, string.format('%.0f', math.ceil((limit - level) * tonumber(ARGV[b + 3]) / limit / 1000)"
    " + 1000)) "
    "elseif ARGV[b] == '1' then local h = redis.call('HMGET', key, 'used', 'window') "
    "if h[1] and tonumber(h[2]) == tonumber(ARGV[b + 4]) then "
    "redis.call('HSET', key, 'used', string.format('%.0f', math.max(0, tonumber(h[1]) + more))) end "
    "else redis.call('ZREM', key, ARGV[b + 5]) end end return 0";

struct line { // one connection
	redisContext *context;
	struct line *next;
};

struct store {
	struct tdm_shared shared;
	char host[256], user[128], password[512], *prefix; // host: a path for a Unix socket
	int port, number;                                  // port 0: a Unix socket
	struct timeval timeout;
	atomic_int_least64_t retry_us, failures; // retry_us: monotonic, from when it may be asked again; 0 = it answers
	pthread_mutex_t lock;
	struct line *idle;
	int n_idle;
};

// --- whether it answers

static int fail(struct store *s, const char *what, struct tdm_error *err) {
	if (!atomic_exchange(&s->retry_us, tdm_now_us() + RETRY_US))
		tdm_log(TDM_WARN, "shared.down", NULL, " host=%s reason=\"%s\"", s->host, what);
	atomic_fetch_add(&s->failures, 1);
	return tdm_fail(err, TDM_ESTATE, "the shared state at %s does not answer: %s", s->host, what);
}

static void answers(struct store *s) {
	if (atomic_load(&s->retry_us) && atomic_exchange(&s->retry_us, 0))
		tdm_log(TDM_INFO, "shared.back", NULL, " host=%s", s->host);
}

// One request looks whether it is back; the others are told at once.
static bool may_ask(struct store *s) {
	int64_t retry_us = atomic_load(&s->retry_us), now_us = tdm_now_us();
	return !retry_us ||
	       (now_us >= retry_us && atomic_compare_exchange_strong(&s->retry_us, &retry_us, now_us + RETRY_US));
}

// --- connections

static void line_free(struct line *line) {
	if (line && line->context)
		lib.redisFree(line->context);
	free(line);
}

static bool went_well(redisContext *c, redisReply *reply) {
	bool well = reply && reply->type != REDIS_REPLY_ERROR;
	(void)c;
	lib.freeReplyObject(reply);
	return well;
}

static bool greet(struct store *s, redisContext *c) {
	if (*s->password && *s->user && !went_well(c, lib.redisCommand(c, "AUTH %s %s", s->user, s->password)))
		return false;
	if (*s->password && !*s->user && !went_well(c, lib.redisCommand(c, "AUTH %s", s->password)))
		return false;
	return !s->number || went_well(c, lib.redisCommand(c, "SELECT %d", s->number));
}

static struct line *line_new(struct store *s, struct tdm_error *err) {
	struct line *line = calloc(1, sizeof *line);
	if (!line) {
		tdm_fail(err, TDM_ESTATE, "no memory for a connection");
		return NULL;
	}
	line->context = s->port ? lib.redisConnectWithTimeout(s->host, s->port, s->timeout)
	                        : lib.redisConnectUnixWithTimeout(s->host, s->timeout);
	redisContext *c = line->context;
	const char *why = !c ? "no memory" : c->err ? c->errstr : NULL;
	if (!why && lib.redisSetTimeout(c, s->timeout) != REDIS_OK)
		why = "no time-out";
	if (!why && !greet(s, c))
		why = c->err ? c->errstr : "it refuses the password or the number";
	if (!why)
		return line;
	fail(s, why, err);
	line_free(line);
	return NULL;
}

// One that the server has closed meanwhile is no good: nothing may be sent into the void.
static bool is_open(const struct line *line) {
	char byte;
	return recv(line->context->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

static struct line *line_take(struct store *s, struct tdm_error *err) {
	for (;;) {
		pthread_mutex_lock(&s->lock);
		struct line *line = s->idle;
		if (line) {
			s->idle = line->next;
			s->n_idle--;
		}
		pthread_mutex_unlock(&s->lock);
		if (!line)
			return line_new(s, err);
		if (is_open(line))
			return line;
		line_free(line);
	}
}

static void line_give(struct store *s, struct line *line) {
	pthread_mutex_lock(&s->lock);
	bool room = s->n_idle < N_IDLE_LIMIT;
	if (room) {
		line->next = s->idle;
		s->idle = line;
		s->n_idle++;
	}
	pthread_mutex_unlock(&s->lock);
	if (!room)
		line_free(line);
}

// --- one command

struct command {
	const char *words[MOST_CLAIMS * (ARGS_OF_A_CLAIM + 1) + 8];
	size_t lengths[MOST_CLAIMS * (ARGS_OF_A_CLAIM + 1) + 8];
	int n;
};

static void add(struct command *c, const void *word, size_t n) {
	c->words[c->n] = word;
	c->lengths[c->n++] = n;
}

static void add_text(struct command *c, const char *text) {
	add(c, text, strlen(text));
}

// The reply, to be freed by the caller; NULL with TDM_ESTATE told.
static redisReply *ask(struct store *s, const struct command *c, struct tdm_error *err) {
	if (!may_ask(s)) {
		tdm_fail(err, TDM_ESTATE, "the shared state at %s does not answer", s->host);
		return NULL;
	}
	struct line *line = line_take(s, err);
	if (!line)
		return NULL;
	redisReply *reply = lib.redisCommandArgv(line->context, c->n, (const char **)c->words, c->lengths);
	if (!reply || reply->type == REDIS_REPLY_ERROR) {
		fail(s, reply ? reply->str : line->context->errstr, err);
		lib.freeReplyObject(reply);
		line_free(line);
		return NULL;
	}
	answers(s);
	line_give(s, line);
	return reply;
}

// --- meters

struct texts { // of the numbers and names of a script's words
	char names[MOST_CLAIMS][NAME_BYTES], numbers[MOST_CLAIMS][ARGS_OF_A_CLAIM][TEXT_BYTES];
};

static void add_claim(struct command *c, char (*numbers)[TEXT_BYTES], const struct tdm_claim *claim, int64_t used) {
	const int64_t values[] = {(int64_t)claim->meter, claim->limit, claim->amount, claim->period_us, claim->window};
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		snprintf(numbers[i], TEXT_BYTES, "%lld", (long long)values[i]);
		add_text(c, numbers[i]);
	}
	add_text(c, claim->holder);
	snprintf(numbers[5], TEXT_BYTES, "%lld", (long long)used);
	add_text(c, numbers[5]);
}

static redisReply *run_script(struct store *s, const char *script, const char *how, const struct tdm_claim *claims,
                              size_t n, const int64_t *used, struct tdm_error *err) {
	struct texts *texts = malloc(sizeof *texts + sizeof(struct command));
	char count[TEXT_BYTES];
	if (!texts || n > MOST_CLAIMS) {
		free(texts);
		tdm_fail(err, TDM_ESTATE, "no room for %zu claims", n);
		return NULL;
	}
	struct command *c = (struct command *)(texts + 1);
	c->n = 0;
	add_text(c, "EVAL");
	add_text(c, script);
	snprintf(count, sizeof count, "%zu", n);
	add_text(c, count);
	for (size_t i = 0; i < n; i++) {
		snprintf(texts->names[i], NAME_BYTES, "%sm:%s", s->prefix, claims[i].key);
		add_text(c, texts->names[i]);
	}
	add_text(c, how);
	for (size_t i = 0; i < n; i++)
		add_claim(c, texts->numbers[i], &claims[i], used ? used[i] : 0);
	redisReply *reply = ask(s, c, err);
	free(texts);
	return reply;
}

static int64_t number_of(const redisReply *reply, size_t i) {
	return i < reply->elements && reply->element[i]->type == REDIS_REPLY_INTEGER ? reply->element[i]->integer : 0;
}

static int claim(struct tdm_shared *shared, struct tdm_claim *claims, size_t n, struct tdm_denial *denial,
                 struct tdm_error *err) {
	for (size_t i = 0; i < n; i++)
		if (claims[i].meter == TDM_METER_SLOTS)
			tdm_make_id(claims[i].holder, "");
	redisReply *reply = run_script((struct store *)shared, claim_script, "1", claims, n, NULL, err);
	if (!reply)
		return TDM_ESTATE;
	int64_t refused = number_of(reply, 0);
	*denial = (struct tdm_denial){(size_t)(refused ? refused - 1 : 0), number_of(reply, 1), number_of(reply, 2)};
	for (size_t i = 0; !refused && i < n; i++) {
		claims[i].window = number_of(reply, 3 + 2 * i);
		claims[i].left = number_of(reply, 4 + 2 * i);
	}
	lib.freeReplyObject(reply);
	return refused ? TDM_ERATE : TDM_OK;
}

static int settle(struct tdm_shared *shared, const struct tdm_claim *claims, size_t n, const int64_t *used,
                  struct tdm_error *err) {
	redisReply *reply = run_script((struct store *)shared, settle_script, "1", claims, n, used, err);
	lib.freeReplyObject(reply);
	return reply ? TDM_OK : TDM_ESTATE;
}

static int left(struct tdm_shared *shared, const struct tdm_claim *c, int64_t *out, struct tdm_error *err) {
	redisReply *reply = run_script((struct store *)shared, claim_script, "0", c, 1, NULL, err);
	if (!reply)
		return TDM_ESTATE;
	*out = number_of(reply, 4);
	lib.freeReplyObject(reply);
	return TDM_OK;
}

// --- values

static redisReply *ask_value(struct store *s, const char *verb, const char *key, struct command *c,
                             struct tdm_error *err) {
	struct command whole = {.n = 0};
	size_t n = strlen(s->prefix) + strlen(key) + 3;
	char *name = malloc(n);
	if (!name) {
		tdm_fail(err, TDM_ESTATE, "no memory");
		return NULL;
	}
	snprintf(name, n, "%sv:%s", s->prefix, key);
	add_text(&whole, verb);
	add_text(&whole, name);
	for (int i = 0; i < c->n; i++)
		add(&whole, c->words[i], c->lengths[i]);
	redisReply *reply = ask(s, &whole, err);
	free(name);
	return reply;
}

static int get(struct tdm_shared *shared, const char *key, struct tdm_bytes *out, bool *found, struct tdm_error *err) {
	struct command none = {.n = 0};
	redisReply *reply = ask_value((struct store *)shared, "GET", key, &none, err);
	if (!reply)
		return TDM_ESTATE;
	*found = reply->type == REDIS_REPLY_STRING;
	if (*found)
		tdm_bytes_add(out, reply->str, reply->len);
	lib.freeReplyObject(reply);
	return out->failed ? tdm_fail(err, TDM_ENOMEM, "the value of %s is larger than expected", key) : TDM_OK;
}

static int set(struct tdm_shared *shared, const char *key, const void *data, size_t n, int64_t life_us,
               struct tdm_error *err) {
	struct command rest = {.n = 0};
	char life[TEXT_BYTES];
	add(&rest, data, n);
	if (life_us > 0) {
		snprintf(life, sizeof life, "%lld", (long long)((life_us + 999) / 1000));
		add_text(&rest, "PX");
		add_text(&rest, life);
	}
	redisReply *reply = ask_value((struct store *)shared, "SET", key, &rest, err);
	lib.freeReplyObject(reply);
	return reply ? TDM_OK : TDM_ESTATE;
}

static int drop(struct tdm_shared *shared, const char *key, struct tdm_error *err) {
	struct command none = {.n = 0};
	redisReply *reply = ask_value((struct store *)shared, "DEL", key, &none, err);
	lib.freeReplyObject(reply);
	return reply ? TDM_OK : TDM_ESTATE;
}

// --- opening and closing

static void stats(struct tdm_shared *shared, struct tdm_shared_stats *out) {
	struct store *s = (struct store *)shared;
	out->failures = atomic_load(&s->failures);
	out->down = atomic_load(&s->retry_us) != 0;
}

static void close_store(struct tdm_shared *shared) {
	struct store *s = (struct store *)shared;
	while (s->idle) {
		struct line *line = s->idle;
		s->idle = line->next;
		line_free(line);
	}
	pthread_mutex_destroy(&s->lock);
	free(s->prefix);
	explicit_bzero(s->password, sizeof s->password);
	free(s);
}

static bool read_number(const char *text, const char *end, long most, int *out) {
	char *after;
	long value = strtol(text, &after, 10);
	*out = (int)value;
	return after == end && after != text && value >= 0 && value <= most;
}

// USER@; a password has no place here.
static bool read_user(struct store *s, const char *text, size_t n) {
	snprintf(s->user, sizeof s->user, "%.*s", (int)n, text);
	return !memchr(text, ':', n) && n < sizeof s->user;
}

// HOST[:PORT] until `end`; an IPv6 address is between brackets.
static bool read_host(struct store *s, const char *host, const char *end) {
	const char *close = *host == '[' ? strchr(host, ']') : NULL, *from = close ? close : host;
	const char *colon = memchr(from, ':', (size_t)(end - from));
	const char *host_end = close ? close : colon ? colon : end;
	host += close != NULL;
	s->port = STANDARD_PORT;
	if (colon && (!read_number(colon + 1, end, 65535, &s->port) || !s->port))
		return false;
	snprintf(s->host, sizeof s->host, "%.*s", (int)(host_end - host), host);
	return host_end > host && (size_t)(host_end - host) < sizeof s->host;
}

// [USER@]HOST[:PORT][/NUMBER]
static bool read_address(struct store *s, const char *text) {
	const char *at = strrchr(text, '@'), *slash = strrchr(text, '/'), *end = text + strlen(text);
	if (at && !read_user(s, text, (size_t)(at - text)))
		return false;
	if (slash && slash[1] && !read_number(slash + 1, end, 1 << 20, &s->number))
		return false;
	return read_host(s, at ? at + 1 : text, slash ? slash : end);
}

int tdm_shared_redis_new(const struct tdm_shared_options *o, struct tdm_shared **out, struct tdm_error *err) {
	static const struct tdm_shared_ops ops = {claim, settle, left, get, set, drop, stats, close_store};
	int status = tdm_library_load(&lib.library, err);
	if (status)
		return status;
	struct store *s = calloc(1, sizeof *s);
	bool is_path = !strncmp(o->url, "unix:", 5);
	if (!s || !(s->prefix = strdup(o->prefix))) {
		free(s);
		return tdm_fail(err, TDM_ENOMEM, "state: no memory");
	}
	s->shared.ops = &ops;
	pthread_mutex_init(&s->lock, NULL);
	s->timeout = (struct timeval){o->timeout_ms / 1000, o->timeout_ms % 1000 * 1000};
	snprintf(s->password, sizeof s->password, "%s", o->password ? o->password : "");
	if (is_path)
		snprintf(s->host, sizeof s->host, "%s", o->url + 5);
	if (!is_path && !read_address(s, o->url + strlen("redis://"))) {
		close_store(&s->shared);
		return tdm_fail(err, TDM_ECONFIG,
		                "state.url: expected redis://HOST:PORT/NUMBER; a password goes into state.password");
	}
	*out = &s->shared;
	return TDM_OK;
}
