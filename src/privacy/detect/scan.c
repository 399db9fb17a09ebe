// Scan: see scan.h. The only file that sees Vectorscan. `lock` guards the idle scratch spaces and what was found
// lately; everything else is read-only after creation.
#include "privacy/detect/scan.h"
#include "privacy/detect/compact.h"
#include "base/library.h"
#include <ctype.h>
#include <hs.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CALLS(X)             \
	X(hs_alloc_scratch)      \
	X(hs_clone_scratch)      \
	X(hs_compile)            \
	X(hs_compile_multi)      \
	X(hs_free_compile_error) \
	X(hs_free_database)      \
	X(hs_free_scratch)       \
	X(hs_scan)
TDM_LIBRARY(lib, TDM_SO_hs, CALLS);

#define MAX_PATTERNS 1000
#define MAX_PATTERN_BYTES 1000
#define MAX_OWN 64
#define MAX_IDLE 64
#define LEAST_KNOWN 128       // bytes: a shorter text is scanned as fast as it is looked for
#define MOST_KNOWN (1u << 18) // a longer one is not kept
#define N_KNOWN 32            // texts
#define MAX_KNOWN 512         // of anchors, of words, of what is the operator's own
#define WORD_ID 1000          // ids from here on are context words
#define OWN_ID 2000           // and from here on the operator's own patterns

struct word {
	char text[64];
	size_t n;
	uint64_t rows[TDM_ENTITY_SETS];
};

// What was found in a text: one that is masked and looked at before it leaves is scanned four times in a row, while
// other threads scan others.
struct known {
	char *text;
	size_t n, cap; // of the text; n = 0: nothing
	struct tdm_scan found;
};

struct tdm_scanner {
	hs_database_t *database;
	hs_scratch_t *prototype;
	pthread_mutex_t lock;
	hs_scratch_t *idle[MAX_IDLE]; // guarded by `lock`, as what follows up to `words`
	size_t n_idle;
	struct known known[N_KNOWN];
	size_t next_known; // is written next
	struct word words[MAX_PATTERNS];
	size_t n_words;
};

// Patterns of the table alone: compiling them takes a good part of a start, and all who scan for nothing else share
// one.
static struct {
	pthread_mutex_t lock; // guards the rest, and is held while it compiles
	struct tdm_scanner *scanner;
	size_t n_users;
} shipped = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct patterns {
	char text[MAX_PATTERNS][MAX_PATTERN_BYTES];
	const char *pointers[MAX_PATTERNS];
	unsigned flags[MAX_PATTERNS], ids[MAX_PATTERNS];
	unsigned n;
};

static bool add_pattern(struct patterns *p, const char *text, unsigned flags, unsigned id) {
	size_t n = strlen(text);
	if (p->n == MAX_PATTERNS || n >= MAX_PATTERN_BYTES)
		return false;
	memcpy(p->text[p->n], text, n + 1);
	p->pointers[p->n] = p->text[p->n];
	p->flags[p->n] = flags;
	p->ids[p->n++] = id;
	return true;
}

static struct word *find_word(struct tdm_scanner *s, const char *text, size_t n) {
	for (size_t i = 0; i < s->n_words; i++)
		if (s->words[i].n == n && memcmp(s->words[i].text, text, n) == 0)
			return &s->words[i];
	if (s->n_words == MAX_PATTERNS || n >= sizeof s->words[0].text)
		return NULL;
	struct word *word = &s->words[s->n_words++];
	memcpy(word->text, text, n);
	word->n = n;
	return word;
}

static bool collect_words(struct tdm_scanner *s, size_t row) {
	const char *p = tdm_entities[row].words;
	while (p && *p) {
		size_t n = strcspn(p, " ");
		struct word *word = n ? find_word(s, p, n) : NULL;
		if (n && !word)
			return false;
		if (word)
			word->rows[row / 64] |= UINT64_C(1) << row % 64;
		p += n + (p[n] == ' ');
	}
	return true;
}

// "security|code" becomes security[ _-]code. Other characters stand for themselves.
static bool add_word(struct patterns *p, const struct word *word, unsigned id) {
	char text[MAX_PATTERN_BYTES];
	size_t n = 0;
	for (const char *c = word->text; *c && n + 8 < sizeof text; c++) {
		if (*c == '|') {
			memcpy(text + n, "[ _-]", 5);
			n += 5;
			continue;
		}
		if ((unsigned char)*c < 0x80 && !isalnum((unsigned char)*c))
			text[n++] = '\\';
		text[n++] = *c;
	}
	text[n] = 0;
	return add_pattern(p, text, HS_FLAG_CASELESS, id);
}

static bool collect(struct tdm_scanner *s, struct patterns *p) {
	for (size_t i = 0; i < tdm_n_entities; i++) {
		const struct tdm_entity *row = &tdm_entities[i];
		unsigned flags = row->flags & TDM_ENTITY_CASELESS ? HS_FLAG_CASELESS : 0;
		if (i >= 64 * TDM_ENTITY_SETS || !collect_words(s, i))
			return false;
		if (row->pattern && *row->pattern && *row->pattern != '#' && !add_pattern(p, row->pattern, flags, (unsigned)i))
			return false;
	}
	if (!tdm_compact_prepare())
		return false;
	for (size_t i = 0; i < s->n_words; i++)
		if (!add_word(p, &s->words[i], WORD_ID + (unsigned)i))
			return false;
	return true;
}

// Their whole match is wanted, so its start is too; what can match nothing at all does not compile.
static int collect_own(struct patterns *p, const char *const *own, size_t n, struct tdm_error *err) {
	if (n > MAX_OWN)
		return tdm_fail(err, TDM_ECONFIG, "%zu patterns; expected at most %d", n, MAX_OWN);
	for (size_t i = 0; i < n; i++) {
		hs_compile_error_t *why = NULL;
		hs_database_t *alone = NULL;
		unsigned flags = HS_FLAG_CASELESS | HS_FLAG_SOM_LEFTMOST;
		if (lib.hs_compile(own[i], flags, HS_MODE_BLOCK, NULL, &alone, &why) != HS_SUCCESS) {
			int status = tdm_fail(err, TDM_ECONFIG, "pattern %zu cannot be searched for: %s", i + 1,
			                      why ? why->message : "unknown reason");
			lib.hs_free_compile_error(why);
			return status;
		}
		lib.hs_free_database(alone);
		if (!add_pattern(p, own[i], flags, OWN_ID + (unsigned)i))
			return tdm_fail(err, TDM_ECONFIG, "pattern %zu is longer than %d bytes", i + 1, MAX_PATTERN_BYTES - 1);
	}
	return TDM_OK;
}

static int compile(struct tdm_scanner *s, struct patterns *p, struct tdm_error *err) {
	hs_compile_error_t *why = NULL;
	if (lib.hs_compile_multi(p->pointers, p->flags, p->ids, p->n, HS_MODE_BLOCK, NULL, &s->database, &why) !=
	    HS_SUCCESS) {
		int status = tdm_fail(err, TDM_EINTERNAL, "recognisers: pattern %d does not compile: %s",
		                      why ? why->expression : -1, why ? why->message : "unknown reason");
		lib.hs_free_compile_error(why);
		return status;
	}
	if (lib.hs_alloc_scratch(s->database, &s->prototype) != HS_SUCCESS)
		return tdm_fail(err, TDM_ENOMEM, "recognisers: no memory for their working space");
	return TDM_OK;
}

static void scanner_free(struct tdm_scanner *s) {
	if (!s)
		return;
	for (size_t i = 0; i < s->n_idle; i++)
		lib.hs_free_scratch(s->idle[i]);
	for (size_t i = 0; i < N_KNOWN; i++) {
		free(s->known[i].text);
		tdm_scan_release(&s->known[i].found);
	}
	if (s->database) { // and so the library
		lib.hs_free_scratch(s->prototype);
		lib.hs_free_database(s->database);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int scanner_new(const char *const *own, size_t n_own, struct tdm_scanner **out, struct tdm_error *err) {
	struct tdm_scanner *s = calloc(1, sizeof *s);
	struct patterns *p = calloc(1, sizeof *p);
	int status = s && p ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "recognisers: out of memory");
	*out = NULL;
	if (s)
		pthread_mutex_init(&s->lock, NULL);
	if (status == TDM_OK)
		status = tdm_library_load(&lib.library, err);
	if (status == TDM_OK && !collect(s, p))
		status = tdm_fail(err, TDM_EINTERNAL, "recognisers: the table of entity types is larger than scan.c expects");
	if (status == TDM_OK)
		status = collect_own(p, own, n_own, err);
	if (status == TDM_OK)
		status = compile(s, p, err);
	free(p);
	if (status == TDM_OK)
		*out = s;
	else
		scanner_free(s);
	return status;
}

int tdm_scanner_new(const char *const *own, size_t n_own, struct tdm_scanner **out, struct tdm_error *err) {
	if (n_own)
		return scanner_new(own, n_own, out, err);
	pthread_mutex_lock(&shipped.lock);
	int status = shipped.scanner ? TDM_OK : scanner_new(NULL, 0, &shipped.scanner, err);
	shipped.n_users += !status;
	*out = shipped.scanner;
	pthread_mutex_unlock(&shipped.lock);
	return status;
}

void tdm_scanner_free(struct tdm_scanner *s) {
	pthread_mutex_lock(&shipped.lock);
	bool is_shipped = s && s == shipped.scanner, is_used = is_shipped && --shipped.n_users;
	if (is_shipped && !is_used)
		shipped.scanner = NULL;
	pthread_mutex_unlock(&shipped.lock);
	if (!is_used)
		scanner_free(s);
}

static hs_scratch_t *borrow(struct tdm_scanner *s) {
	hs_scratch_t *scratch = NULL;
	pthread_mutex_lock(&s->lock);
	if (s->n_idle)
		scratch = s->idle[--s->n_idle];
	pthread_mutex_unlock(&s->lock);
	if (!scratch)
		lib.hs_clone_scratch(s->prototype, &scratch);
	return scratch;
}

static void give_back(struct tdm_scanner *s, hs_scratch_t *scratch) {
	pthread_mutex_lock(&s->lock);
	if (s->n_idle < MAX_IDLE) {
		s->idle[s->n_idle++] = scratch;
		scratch = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	lib.hs_free_scratch(scratch);
}

struct visit {
	const struct tdm_scanner *scanner;
	const char *text;
	size_t n;
	struct tdm_scan *out;
};

static bool grow(void **items, size_t n, size_t *cap, size_t item_bytes) {
	if (n < *cap)
		return true;
	size_t more = *cap ? *cap * 2 : 128;
	void *new = realloc(*items, more * item_bytes);
	if (!new)
		return false;
	*items = new;
	*cap = more;
	return true;
}

static bool letter_at(const struct visit *v, size_t i) {
	return i < v->n && (isalnum((unsigned char)v->text[i]) || (unsigned char)v->text[i] >= 0x80);
}

static int on_word(struct visit *v, const struct word *word, size_t end) {
	struct tdm_scan *out = v->out;
	size_t start = end - word->n;
	if ((start > 0 && letter_at(v, start - 1)) || letter_at(v, end))
		return 0;
	if (!grow((void **)&out->words, out->n_words, &out->cap_words, sizeof *out->words))
		return 1;
	out->words[out->n_words++] = (struct tdm_word){(uint32_t)start, (uint32_t)end, word->rows};
	return 0;
}

// Every end of a match is told; of those with one start the last one counts.
static int on_own(struct tdm_scan *out, size_t start, size_t end) {
	struct tdm_own *last = out->n_own ? &out->own[out->n_own - 1] : NULL;
	if (last && last->start == start) {
		last->end = (uint32_t)end;
		return 0;
	}
	if (!grow((void **)&out->own, out->n_own, &out->cap_own, sizeof *out->own))
		return 1;
	out->own[out->n_own++] = (struct tdm_own){(uint32_t)start, (uint32_t)end};
	return 0;
}

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context) {
	struct visit *v = context;
	struct tdm_scan *out = v->out;
	if (id >= OWN_ID)
		return on_own(out, (size_t)from, (size_t)to);
	if (id >= WORD_ID)
		return on_word(v, &v->scanner->words[id - WORD_ID], (size_t)to);
	if (!grow((void **)&out->anchors, out->n_anchors, &out->cap_anchors, sizeof *out->anchors))
		return 1;
	out->anchors[out->n_anchors++] = (struct tdm_anchor){(uint32_t)to, id};
	return 0;
}

static bool copy_list(const void *from, size_t n, size_t item_bytes, void **to, size_t *n_to, size_t *cap) {
	*n_to = 0;
	if (n > *cap) {
		void *new = realloc(*to, n * item_bytes);
		if (!new)
			return false;
		*to = new;
		*cap = n;
	}
	if (n)
		memcpy(*to, from, n * item_bytes);
	*n_to = n;
	return true;
}

// Into lists that may have room already.
static bool copy_scan(const struct tdm_scan *from, struct tdm_scan *to) {
	return copy_list(from->anchors, from->n_anchors, sizeof *to->anchors, (void **)&to->anchors, &to->n_anchors,
	                 &to->cap_anchors) &&
	       copy_list(from->words, from->n_words, sizeof *to->words, (void **)&to->words, &to->n_words,
	                 &to->cap_words) &&
	       copy_list(from->own, from->n_own, sizeof *to->own, (void **)&to->own, &to->n_own, &to->cap_own);
}

// What was found is remembered as long as it is small.
static void remember(struct tdm_scanner *s, const struct tdm_scan *found, const char *text, size_t n) {
	size_t most = MAX_KNOWN;
	if (n < LEAST_KNOWN || n > MOST_KNOWN || found->n_anchors > most || found->n_words > most || found->n_own > most)
		return;
	pthread_mutex_lock(&s->lock);
	struct known *k = &s->known[s->next_known++ % N_KNOWN];
	k->n = 0;
	if (copy_scan(found, &k->found))
		copy_list(text, n, 1, (void **)&k->text, &k->n, &k->cap);
	pthread_mutex_unlock(&s->lock);
}

static bool recall(struct tdm_scanner *s, const char *text, size_t n, struct tdm_scan *out) {
	bool found = false;
	if (n < LEAST_KNOWN)
		return false;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < N_KNOWN && !found; i++) {
		const struct known *k = &s->known[i];
		found = k->n == n && memcmp(k->text, text, n) == 0 && copy_scan(&k->found, out);
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

static int scan_text(struct tdm_scanner *s, hs_scratch_t *scratch, const char *text, size_t n, struct tdm_scan *out,
                     struct tdm_error *err) {
	struct visit v = {s, text, n, out};
	hs_error_t result =
	    n < UINT32_MAX ? lib.hs_scan(s->database, text, (unsigned)n + 1, 0, scratch, on_match, &v) : HS_INVALID;
	if (result == HS_SUCCESS)
		return TDM_OK;
	tdm_scan_release(out);
	if (result == HS_SCAN_TERMINATED)
		return tdm_fail(err, TDM_ENOMEM, "recognisers: no memory for what %zu bytes of text contain", n);
	return tdm_fail(err, TDM_EGUARD, "recognisers: the scan of %zu bytes failed (%d); nothing was sent", n, result);
}

int tdm_scanner_scan(struct tdm_scanner *s, const char *text, size_t n, struct tdm_scan *out, struct tdm_error *err) {
	*out = (struct tdm_scan){0};
	if (recall(s, text, n, out))
		return TDM_OK;
	tdm_scan_release(out);
	hs_scratch_t *scratch = borrow(s);
	if (!scratch)
		return tdm_fail(err, TDM_ENOMEM, "recognisers: no memory to scan %zu bytes", n);
	int status = scan_text(s, scratch, text, n, out, err);
	if (status == TDM_OK)
		remember(s, out, text, n);
	give_back(s, scratch);
	return status;
}

void tdm_scan_release(struct tdm_scan *scan) {
	free(scan->anchors);
	free(scan->words);
	free(scan->own);
	*scan = (struct tdm_scan){0};
}

int tdm_scanner_name(struct tdm_scanner *s, const char *name, uint64_t rows[TDM_ENTITY_SETS], struct tdm_error *err) {
	char text[128];
	size_t n = 0;
	struct tdm_scan found;
	for (const char *p = name; *p && n + 2 < sizeof text; p++) {
		if (p > name && isupper((unsigned char)*p) && islower((unsigned char)p[-1]))
			text[n++] = ' ';
		text[n++] = *p;
	}
	text[n] = 0;
	int status = tdm_scanner_scan(s, text, n, &found, err);
	if (status != TDM_OK)
		return status;
	for (size_t i = 0; i < found.n_words; i++)
		for (int k = 0; k < TDM_ENTITY_SETS; k++)
			rows[k] |= found.words[i].rows[k];
	tdm_scan_release(&found);
	return TDM_OK;
}
