// Home: see home.h. The messages of a request are searched together; what is found in one of them is known in every
// text that is about to leave, however it is written there. What a search needs is freed after it: there may be
// thousands.
#include "privacy/mask/home.h"
#include "base/random.h"
#include "base/text.h"
#include "privacy/mask/mask.h"
#include <stdlib.h>
#include <string.h>

#define TEXT_LIMIT_BYTES ((size_t)64 << 20)
static const char opens[] = "<private>", closes[] = "</private>";

static int no_memory(struct tdm_run *run) {
	return tdm_fail(&run->error, TDM_ENOMEM, "no memory left to keep a request at home; nothing was sent");
}

// --- words and runs of them

static bool is_word(unsigned char c) {
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c >= 0x80;
}

// The next word at or after *at: its hash; 0 when there is none.
static uint64_t next_word(const char *text, size_t n, size_t *at) {
	uint64_t hash = 0xcbf29ce484222325u;
	while (*at < n && !is_word((unsigned char)text[*at]))
		++*at;
	if (*at == n)
		return 0;
	for (; *at < n && is_word((unsigned char)text[*at]); ++*at) {
		unsigned char c = (unsigned char)text[*at];
		hash = (hash ^ (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) * 0x100000001b3u;
	}
	return hash | 1;
}

static uint64_t *words_of(struct tdm_arena *arena, const char *text, size_t n, size_t *n_words) {
	size_t at = 0;
	*n_words = 0;
	while (next_word(text, n, &at))
		++*n_words;
	uint64_t *words = tdm_arena_array(arena, *n_words + 1, sizeof *words);
	at = 0;
	for (size_t i = 0; words && i < *n_words; i++)
		words[i] = next_word(text, n, &at);
	return words;
}

bool tdm_words_within(struct tdm_arena *arena, const char *text, size_t n, const char *part, size_t n_part) {
	size_t n_words, n_wanted;
	uint64_t *words = words_of(arena, text, n, &n_words), *wanted = words_of(arena, part, n_part, &n_wanted);
	for (size_t i = 0; words && wanted && i + n_wanted <= n_words; i++)
		if (!memcmp(words + i, wanted, n_wanted * sizeof *words))
			return true;
	return false;
}

static uint64_t gram_of(const uint64_t *words, size_t n) {
	uint64_t hash = 0;
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15u + (hash >> 29);
	return hash;
}

static int by_value(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

// Appends the grams of a text. TDM_ENOMEM.
static int add_grams(struct tdm_home *h, struct tdm_home_grams *g, const char *text, size_t n) {
	size_t n_words, k = (size_t)h->copied;
	uint64_t *words = words_of(h->run->arena, text, n, &n_words);
	size_t more = words && n_words >= k ? n_words - k + 1 : 0;
	uint64_t *items = tdm_arena_array(h->run->arena, g->n + more + 1, sizeof *items);
	if (!words || !items)
		return no_memory(h->run);
	if (g->n)
		memcpy(items, g->items, g->n * sizeof *items);
	for (size_t i = 0; i < more; i++)
		items[g->n + i] = gram_of(words + i, k);
	g->items = items;
	g->n += more;
	return TDM_OK;
}

static int sort_grams(int status, struct tdm_home_grams *g) {
	if (status == TDM_OK && g->n)
		qsort(g->items, g->n, sizeof *g->items, by_value);
	return status;
}

static int grams_of_all(struct tdm_home *h) {
	int status = TDM_OK;
	h->all = h->marked;
	for (size_t i = 0; i < h->n_parts && status == TDM_OK; i++)
		if (!h->parts[i].marked)
			status = add_grams(h, &h->all, h->parts[i].text, h->parts[i].n);
	h->has_all = status == TDM_OK;
	return sort_grams(status, &h->all);
}

// Does text hold a run of words of the parts, marked ones or all?
static int look_for_copies(struct tdm_home *h, struct tdm_arena *scratch, const struct tdm_words *text, unsigned copies,
                           bool *found) {
	const struct tdm_home_grams *g = copies & TDM_HOME_CONTEXT ? &h->all : &h->marked;
	size_t n_words, k = (size_t)h->copied;
	if (copies & TDM_HOME_CONTEXT && !h->has_all && grams_of_all(h) != TDM_OK)
		return TDM_ENOMEM;
	uint64_t *words = words_of(scratch, text->text, text->len, &n_words);
	if (!words)
		return no_memory(h->run);
	for (size_t i = 0; g->n && i + k <= n_words; i++) {
		uint64_t gram = gram_of(words + i, k);
		*found |= bsearch(&gram, g->items, g->n, sizeof gram, by_value) != NULL;
	}
	return TDM_OK;
}

// --- the parts of a request

// Copies text without its marks to `whole`, and without its marked parts to `open`. A part without an end goes to the
// end.
static int divide(struct tdm_home *h, const char *text, size_t n, struct tdm_text *whole, struct tdm_words *open) {
	struct tdm_arena *arena = h->run->arena;
	char *all = tdm_arena_alloc(arena, n + 1), *rest = tdm_arena_alloc(arena, n + 1);
	size_t n_all = 0, n_rest = 0;
	if (!all || !rest)
		return no_memory(h->run);
	for (size_t at = 0; at < n;) {
		const char *mark = memmem(text + at, n - at, opens, sizeof opens - 1);
		size_t before = mark ? (size_t)(mark - text) - at : n - at;
		memcpy(all + n_all, text + at, before);
		memcpy(rest + n_rest, text + at, before);
		n_all += before;
		n_rest += before;
		at += before + (mark ? sizeof opens - 1 : 0);
		if (!mark)
			break;
		const char *end = memmem(text + at, n - at, closes, sizeof closes - 1);
		size_t inside = end ? (size_t)(end - text) - at : n - at;
		h->parts[h->n_parts++] = (struct tdm_home_part){text + at, inside, true};
		memcpy(all + n_all, text + at, inside);
		n_all += inside;
		at += inside + (end ? sizeof closes - 1 : 0);
	}
	*whole = (struct tdm_text){.text = all, .n = n_all};
	*open = (struct tdm_words){rest, n_rest};
	return TDM_OK;
}

static size_t count_marks(const struct tdm_request *request) {
	size_t n = 0;
	for (size_t i = 0; i < request->n_messages; i++) {
		const struct tdm_message *m = &request->messages[i];
		const char *at = m->text, *end = m->text + m->len;
		while (at && (at = memmem(at, (size_t)(end - at), opens, sizeof opens - 1))) {
			at += sizeof opens - 1;
			n++;
		}
	}
	return n;
}

static int divide_all(struct tdm_home *h) {
	const struct tdm_request *r = h->request;
	size_t task = r->n_messages;
	while (task && r->messages[task - 1].from != TDM_FROM_USER)
		task--;
	h->parts = tdm_arena_array(h->run->arena, count_marks(r) + r->n_messages + 1, sizeof *h->parts);
	h->texts = tdm_arena_array(h->run->arena, r->n_messages + 1, sizeof *h->texts);
	if (!h->parts || !h->texts)
		return no_memory(h->run);
	for (size_t i = 0; i < r->n_messages; i++) {
		const struct tdm_message *m = &r->messages[i];
		struct tdm_words open;
		int status = divide(h, m->len ? m->text : "", m->len, &h->texts[i], &open);
		if (status != TDM_OK)
			return status;
		if (i + 1 == task)
			h->task = open;
		else if (open.len)
			h->parts[h->n_parts++] = (struct tdm_home_part){open.text, open.len, false};
	}
	h->n_texts = r->n_messages;
	return TDM_OK;
}

// --- values

static int add_value(struct tdm_dictionary *deny, struct tdm_home *h, const char *text, size_t n) {
	struct tdm_view view;
	int status = tdm_view_make(h->run->arena, text, n, true, &view, &h->run->error);
	while (status == TDM_OK && view.n && !is_word((unsigned char)view.text[view.n - 1]))
		view.n--;
	while (status == TDM_OK && view.n && !is_word((unsigned char)*view.text)) {
		view.text++;
		view.n--;
	}
	if (status != TDM_OK || view.n < 3)
		return status;
	return tdm_dictionary_add(deny, h->run->arena, tdm_entity_deny, view.text, view.n) ? no_memory(h->run) : TDM_OK;
}

// The detector's own list, what somebody listed, and marked parts that are too short to be told by their words in a
// row.
static int extend_deny(struct tdm_home *h, const struct tdm_home_rules *rules) {
	const struct tdm_dictionary *own = &rules->detector->deny;
	struct tdm_dictionary deny = {0};
	int status = TDM_OK;
	for (size_t i = 0; i < own->n && status == TDM_OK; i++)
		status = tdm_dictionary_add(&deny, h->run->arena, own->items[i].entity, own->items[i].folded, own->items[i].n);
	for (size_t i = 0; i < rules->n_listed && status == TDM_OK; i++)
		status = add_value(&deny, h, rules->listed[i].text, rules->listed[i].len);
	for (size_t i = 0; i < h->n_parts && status == TDM_OK; i++) {
		size_t n_words;
		const struct tdm_home_part *p = &h->parts[i];
		if (!p->marked)
			continue;
		if (!words_of(h->run->arena, p->text, p->n, &n_words))
			return no_memory(h->run);
		status =
		    n_words < (size_t)h->copied ? add_value(&deny, h, p->text, p->n) : add_grams(h, &h->marked, p->text, p->n);
	}
	if (status == TDM_OK && tdm_dictionary_build(&deny, h->run->arena) != TDM_OK)
		status = no_memory(h->run);
	h->detector = *rules->detector;
	h->detector.deny = deny;
	return status == TDM_OK || h->run->error.status ? status : no_memory(h->run);
}

// Letters and digits of the normal form; all of it when it has none.
static char *key_of(struct tdm_arena *arena, const struct tdm_find *find, size_t *n) {
	char *key = tdm_arena_alloc(arena, find->n_folded + 1);
	*n = 0;
	for (size_t i = 0; key && i < find->n_folded; i++)
		if (is_word((unsigned char)find->folded[i]))
			key[(*n)++] = find->folded[i];
	if (key && !*n) {
		memcpy(key, find->folded, find->n_folded);
		*n = find->n_folded;
	}
	return key;
}

static int grow(struct tdm_home *h) {
	size_t cap = h->cap_values ? 2 * h->cap_values : 16;
	struct tdm_home_value *more = tdm_arena_array(h->run->arena, cap, sizeof *more);
	if (!more)
		return no_memory(h->run);
	if (h->n_values)
		memcpy(more, h->values, h->n_values * sizeof *more);
	h->values = more;
	h->cap_values = cap;
	return TDM_OK;
}

// Another value's, or words of the client, which are nobody's value.
static bool is_taken(const struct tdm_home *h, const char *slot) {
	for (size_t i = 0; i < h->n_values; i++)
		if (!strcmp(h->values[i].slot, slot))
			return true;
	for (size_t i = 0; i < h->n_texts; i++)
		if (memmem(h->texts[i].text, h->texts[i].n, slot, strlen(slot)))
			return true;
	return false;
}

static const char *make_slot(struct tdm_home *h, const struct tdm_entity *entity) {
	size_t number = 1;
	char *slot;
	if (entity->flags & TDM_ENTITY_ONE_WAY)
		return tdm_arena_printf(h->run->arena, "[SECRET:%s]", entity->id);
	for (size_t i = 0; i < h->n_values; i++)
		number += !strcmp(h->values[i].entity->label, entity->label);
	do {
		slot = tdm_arena_printf(h->run->arena, "[%s_%zu]", entity->label, number++);
	} while (slot && is_taken(h, slot));
	return slot;
}

// The value that was found, known or new.
static int value_of(struct tdm_home *h, const struct tdm_text *text, const struct tdm_find *find,
                    struct tdm_home_value **out) {
	size_t n_key;
	char *key = key_of(h->run->arena, find, &n_key);
	if (!key)
		return no_memory(h->run);
	for (size_t i = 0; i < h->n_values; i++)
		if (h->values[i].n_key == n_key && !memcmp(h->values[i].key, key, n_key)) {
			*out = &h->values[i];
			return TDM_OK;
		}
	if (h->n_values == h->cap_values && grow(h) != TDM_OK)
		return TDM_ENOMEM;
	struct tdm_home_value v = {.key = key, .n_key = n_key, .entity = find->entity, .n = find->end - find->start};
	v.text = tdm_arena_copy(h->run->arena, text->text + find->start, v.n);
	v.slot = make_slot(h, find->entity);
	if (!v.text || !v.slot)
		return no_memory(h->run);
	h->values[h->n_values] = v;
	*out = &h->values[h->n_values++];
	return TDM_OK;
}

static int copy_item(struct tdm_home *h, struct tdm_dictionary *into, const struct tdm_protected *item) {
	char *folded = tdm_arena_copy(h->run->arena, item->folded, item->n);
	return folded ? tdm_dictionary_add(into, h->run->arena, item->entity, folded, item->n) : TDM_ENOMEM;
}

// What the request holds, found together.
static int detect_own(struct tdm_home *h, struct tdm_arena *scratch, struct tdm_finds **finds) {
	*finds = tdm_arena_array(scratch, h->n_texts + 1, sizeof **finds);
	struct tdm_dictionary found = {0};
	if (!*finds)
		return no_memory(h->run);
	int status = tdm_detect(&h->detector, scratch, h->texts, h->n_texts, h->level, *finds, &found, &h->run->error);
	struct tdm_dictionary *deny = &h->known.deny;
	h->known = h->detector;
	*deny = (struct tdm_dictionary){0};
	for (size_t i = 0; i < found.n && status == TDM_OK; i++)
		status = copy_item(h, &h->protect, &found.items[i]);
	for (size_t i = 0; i < found.n && status == TDM_OK; i++)
		status = tdm_dictionary_add(deny, h->run->arena, h->protect.items[i].entity, h->protect.items[i].folded,
		                            h->protect.items[i].n);
	for (size_t i = 0; i < h->detector.deny.n && status == TDM_OK; i++)
		status = tdm_dictionary_add(deny, h->run->arena, h->detector.deny.items[i].entity,
		                            h->detector.deny.items[i].folded, h->detector.deny.items[i].n);
	if (status == TDM_OK)
		status = tdm_dictionary_build(deny, h->run->arena);
	return status == TDM_OK || h->run->error.status ? status : no_memory(h->run);
}

// Whether the value, and not its slot, goes where the stream is.
static bool link_takes(struct tdm_link *link, const struct tdm_home_value *v) {
	struct tdm_spelling slot = {.text = v->text, .token = v->slot, .n = v->n, .n_token = strlen(v->slot)};
	return tdm_link_token(link, &slot);
}

// The values of one text, and the links that they stand in.
static int keep_values_of(struct tdm_home *h, const struct tdm_text *text, const struct tdm_finds *finds) {
	struct tdm_link link = {.links = &h->links, .learns = &h->links};
	int status = TDM_OK;
	size_t at = 0;
	for (size_t k = 0; k < finds->n && status == TDM_OK; k++) {
		struct tdm_home_value *value;
		const struct tdm_find *find = &finds->items[k];
		status = value_of(h, text, find, &value);
		if (status != TDM_OK)
			break;
		value->asked = true;
		tdm_link_put(&link, text->text + at, find->start - at);
		link_takes(&link, value);
		at = find->end;
	}
	return status;
}

static int keep_values(struct tdm_home *h, const struct tdm_finds *finds) {
	int status = tdm_system_random(&h->links.secret, sizeof h->links.secret);
	if (status != TDM_OK)
		return tdm_fail(&h->run->error, status, "the system gave no random number; nothing was sent");
	h->links.secret >>= 4;
	h->links.arena = h->run->arena;
	for (size_t i = 0; i < h->n_texts && status == TDM_OK; i++)
		status = keep_values_of(h, &h->texts[i], &finds[i]);
	tdm_links_sort(&h->links);
	h->n_asked = h->n_values;
	return status == TDM_OK && h->links.failed ? no_memory(h->run) : status;
}

static int arm_egress(struct tdm_home *h) {
	static const uint8_t no_key[32];
	struct tdm_vault *vault = tdm_vault_new(h->run->arena, no_key, TDM_PAYLOAD_BITS);
	if (!vault || tdm_restorer_init(&h->no_tokens, h->run->arena, vault) != TDM_OK ||
	    tdm_dictionary_build(&h->protect, h->run->arena) != TDM_OK)
		return no_memory(h->run);
	h->egress = (struct tdm_guarded_egress){{tdm_egress_scan, NULL}, &h->detector, &h->protect, &h->no_tokens, 0};
	return TDM_OK;
}

int tdm_home_open(struct tdm_home *h, struct tdm_run *run, const struct tdm_request *request,
                  const struct tdm_home_rules *rules) {
	struct tdm_arena scratch;
	struct tdm_finds *finds;
	*h = (struct tdm_home){.run = run, .request = request, .level = rules->level, .copied = rules->copied};
	tdm_arena_init(&scratch, run->arena->limit_bytes);
	int status = divide_all(h);
	if (status == TDM_OK)
		status = extend_deny(h, rules);
	if (status == TDM_OK)
		status = detect_own(h, &scratch, &finds);
	if (status == TDM_OK)
		status = keep_values(h, finds);
	tdm_arena_release(&scratch);
	return sort_grams(status == TDM_OK ? arm_egress(h) : status, &h->marked);
}

// --- what is about to leave

static int put_slots(struct tdm_home *h, const struct tdm_text *text, const struct tdm_finds *finds,
                     struct tdm_words *out, struct tdm_home_look *look) {
	struct tdm_bytes b;
	size_t at = 0;
	int status = TDM_OK;
	if (!finds->n)
		return TDM_OK;
	tdm_bytes_init(&b, TEXT_LIMIT_BYTES);
	for (size_t i = 0; i < finds->n && status == TDM_OK; i++) {
		struct tdm_home_value *value;
		status = value_of(h, text, &finds->items[i], &value);
		if (status != TDM_OK)
			break;
		look->leaked += value->asked && !value->seen;
		look->hidden++;
		value->seen = true;
		tdm_bytes_add(&b, text->text + at, finds->items[i].start - at);
		tdm_bytes_puts(&b, value->slot);
		at = finds->items[i].end;
	}
	tdm_bytes_add(&b, text->text + at, text->n - at);
	out->text = b.failed ? NULL : tdm_arena_copy(h->run->arena, b.data, b.len);
	out->len = b.len;
	tdm_bytes_release(&b);
	return status == TDM_OK && !out->text ? no_memory(h->run) : status;
}

// The request in full is a copy too, where something in it is private.
static bool is_whole(struct tdm_home *h, struct tdm_arena *scratch, const struct tdm_words *text) {
	size_t n_words;
	uint64_t *words = words_of(scratch, h->task.text, h->task.len, &n_words);
	bool is_private = h->n_asked || h->n_parts;
	return words && is_private && n_words >= (size_t)h->copied &&
	       tdm_words_within(scratch, text->text, text->len, h->task.text, h->task.len);
}

static int clean(struct tdm_home *h, struct tdm_arena *scratch, struct tdm_words *texts, size_t n, unsigned copies,
                 struct tdm_home_look *look) {
	struct tdm_finds *finds = tdm_arena_array(scratch, n + 1, sizeof *finds);
	struct tdm_text *all = tdm_arena_array(scratch, n + 1, sizeof *all);
	struct tdm_dictionary found = {0};
	if (!finds || !all)
		return no_memory(h->run);
	for (size_t i = 0; i < n; i++)
		all[i] = (struct tdm_text){.text = texts[i].text, .n = texts[i].len};
	for (size_t i = 0; i < h->n_values; i++)
		h->values[i].seen = false;
	int status = tdm_detect(&h->known, scratch, all, n, h->level, finds, &found, &h->run->error);
	for (size_t i = 0; i < n && status == TDM_OK; i++) {
		status = look_for_copies(h, scratch, &texts[i], copies, &look->copied);
		look->copied |= copies & TDM_HOME_WHOLE && is_whole(h, scratch, &texts[i]);
		if (status == TDM_OK)
			status = put_slots(h, &all[i], &finds[i], &texts[i], look);
	}
	return status;
}

int tdm_home_clean(struct tdm_home *h, struct tdm_words *texts, size_t n, unsigned copies, struct tdm_home_look *look) {
	struct tdm_arena scratch;
	*look = (struct tdm_home_look){0};
	tdm_arena_init(&scratch, h->run->arena->limit_bytes);
	int status = clean(h, &scratch, texts, n, copies, look);
	tdm_arena_release(&scratch);
	return status;
}

static const struct tdm_home_value *slot_at(const struct tdm_home *h, const char *text, size_t n) {
	for (size_t i = 0; i < h->n_values; i++) {
		const struct tdm_home_value *v = &h->values[i];
		size_t length = strlen(v->slot);
		if (!(v->entity->flags & TDM_ENTITY_ONE_WAY) && length <= n && !memcmp(text, v->slot, length))
			return v;
	}
	return NULL;
}

const char *tdm_home_fill(const struct tdm_home *h, const char *text, size_t n, size_t *n_out) {
	struct tdm_bytes b;
	struct tdm_link link = {.links = &h->links};
	tdm_bytes_init(&b, TEXT_LIMIT_BYTES);
	for (size_t at = 0; at < n;) {
		const struct tdm_home_value *v = slot_at(h, text + at, n - at);
		const char *open = v ? NULL : memchr(text + at + 1, '[', n - at - 1);
		size_t plain = v ? strlen(v->slot) : open ? (size_t)(open - text) - at : n - at;
		if (v && link_takes(&link, v)) {
			tdm_bytes_add(&b, v->text, v->n);
		} else {
			tdm_bytes_add(&b, text + at, plain);
			if (v)
				h->run->record->left.missed_restores++;
			else
				tdm_link_put(&link, text + at, plain);
		}
		at += plain;
	}
	*n_out = b.len;
	char *out = b.failed ? NULL : tdm_arena_copy(h->run->arena, b.data ? b.data : "", b.len);
	tdm_bytes_release(&b);
	return out;
}

int tdm_home_split(struct tdm_home *h) {
	size_t end = h->task.len;
	const char *text = h->task.text;
	while (end && strchr(" \t\r\n", text[end - 1]))
		end--;
	size_t at = end;
	while (at > 1 && !(text[at - 1] == '\n' && (text[at - 2] == '\n' || (at > 2 && !memcmp(text + at - 3, "\n\r", 2)))))
		at--;
	if (h->n_parts || at <= 1)
		return TDM_OK;
	h->parts[h->n_parts++] = (struct tdm_home_part){text, at, false};
	h->has_all = false;
	h->task = (struct tdm_words){tdm_arena_copy(h->run->arena, text + at, end - at), end - at};
	return h->task.text ? TDM_OK : no_memory(h->run);
}

// Each value once, however often its slot leaves.
static void count_sent(struct tdm_home *h, const struct tdm_request *asked) {
	for (size_t i = 0; i < h->n_values; i++) {
		struct tdm_home_value *v = &h->values[i];
		bool sent = v->sent;
		for (size_t k = 0; k < asked->n_messages && !sent; k++)
			sent = memmem(asked->messages[k].text, asked->messages[k].len, v->slot, strlen(v->slot)) != NULL;
		if (sent && !v->sent)
			tdm_record_count(h->run->record, &h->run->record->left.entities, v->entity->label, 1);
		v->sent = sent;
	}
}

int tdm_home_send(struct tdm_home *h, struct tdm_model *m, const struct tdm_request *asked, struct tdm_sink *sink,
                  struct tdm_result *result) {
	struct tdm_run *run = h->run;
	int status = TDM_OK;
	for (size_t i = 0; i < asked->n_messages && status == TDM_OK; i++)
		status = tdm_egress_scan_text(&h->egress, asked->messages[i].text, asked->messages[i].len, &run->error);
	if (status != TDM_OK)
		return status;
	if (m->leaves)
		count_sent(h, asked);
	h->egress.base.next = run->egress;
	run->egress = &h->egress.base;
	status = tdm_generate(m, run, asked, sink, result);
	run->egress = h->egress.base.next;
	return status;
}

// --- the settings

static const struct tdm_detector *first_mask(const struct tdm_model *m, int *level) {
	const struct tdm_detector *found = tdm_mask_detector(m, level);
	for (size_t i = 0; i < m->n_parts && !found; i++)
		found = first_mask(m->parts[i], level);
	return found;
}

bool tdm_leaves_unmasked(const struct tdm_model *m) {
	int level;
	if (!m->leaves || tdm_mask_detector(m, &level))
		return false;
	for (size_t i = 0; i < m->n_parts; i++)
		if (tdm_leaves_unmasked(m->parts[i]))
			return true;
	return !m->n_parts;
}

int tdm_home_detector(const struct tdm_build *b, const char *role, const struct tdm_model *m,
                      struct tdm_detector *detector, int *level, struct tdm_scanner **scanner) {
	const struct tdm_detector *found = first_mask(m, level);
	*scanner = NULL;
	if (tdm_leaves_unmasked(m))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: role %s: %s sends text off this machine without a mask; expected {kind: mask, inner: %s}",
		                b->where, role, m->name, m->name);
	if (found) {
		*detector = *found;
		return TDM_OK;
	}
	struct tdm_error why = {0};
	*level = 0;
	*detector = (struct tdm_detector){0};
	int status = tdm_scanner_new(NULL, 0, scanner, &why);
	if (status == TDM_OK)
		status = tdm_dictionary_build(&detector->deny, b->arena);
	detector->scanner = *scanner;
	return status == TDM_OK ? TDM_OK : tdm_fail(b->error, status, "%s: %s", b->where, why.text);
}
