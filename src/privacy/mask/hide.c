// Hide: see hide.h. The rule it protects: what was written restores to what stood there, or nothing is given out.
#include "privacy/mask/hide.h"
#include "base/crypto.h"
#include "base/random.h"
#include "base/secret.h"
#include "privacy/detect/names.h"
#include <stdio.h>
#include <string.h>

#define SECRET_LIMIT_BYTES ((size_t)64 << 10)

static int out_of_memory(struct tdm_error *err) {
	return tdm_fail(err, TDM_ENOMEM, "mask: no memory left in this request; nothing was sent");
}

static void put_length_prefixed(struct tdm_bytes *b, const void *data, size_t n) {
	uint64_t size = n;
	tdm_bytes_add(b, &size, sizeof size);
	tdm_bytes_add(b, data, n);
}

int tdm_session_key(const uint8_t master[TDM_SESSION_KEY_BYTES], const char *tenant, const char *session,
                    struct tdm_text first, uint8_t out[TDM_SESSION_KEY_BYTES]) {
	struct tdm_bytes info;
	uint8_t digest[TDM_SHA256_BYTES];
	tdm_bytes_init(&info, 1 << 20);
	put_length_prefixed(&info, tenant ? tenant : "", tenant ? strlen(tenant) : 0);
	if (session) {
		put_length_prefixed(&info, session, strlen(session));
	} else {
		tdm_sha256(first.text ? first.text : "", first.n, digest);
		put_length_prefixed(&info, digest, sizeof digest);
	}
	int status = info.failed
	                 ? TDM_ENOMEM
	                 : tdm_hkdf_sha256(master, TDM_SESSION_KEY_BYTES, info.data, info.len, out, TDM_SESSION_KEY_BYTES);
	tdm_bytes_release(&info);
	return status;
}

int tdm_master_key(const char *where, const char *folder, const char *from, uint8_t key[TDM_SESSION_KEY_BYTES],
                   struct tdm_error *err) {
	if (!from || !*from) {
		if (tdm_system_random(key, TDM_SESSION_KEY_BYTES) == TDM_OK)
			return TDM_OK;
		return tdm_fail(err, TDM_EIO, "%s: the system gave no random key", where);
	}
	char place[256];
	struct tdm_bytes data;
	snprintf(place, sizeof place, "%s: key", where);
	int status = tdm_secret_read(place, folder, from, SECRET_LIMIT_BYTES, &data, err);
	if (status == TDM_OK && data.len < 16)
		status = tdm_fail(err, TDM_ECONFIG, "%s: expected at least 16 bytes", place);
	if (status == TDM_OK)
		tdm_sha256(data.data, data.len, key);
	tdm_secret_wipe(&data);
	return status;
}

static bool name_byte(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80 || c == '\'' || c == '-';
}

// Words of a name that stand for nobody: titles, and small ones ("van", "de").
static bool is_plain_word(const char *word, size_t n) {
	return (n <= 3 && *word >= 'a' && *word <= 'z') || tdm_names_title(word, n);
}

// Whether each word of a person's name is long enough to have an alias of its own.
static bool has_words(const char *value, size_t n) {
	for (size_t i = 0, m; i < n; i += m + (m == 0)) {
		for (m = 0; i + m < n && name_byte(value[i + m]);)
			m++;
		if (m == 1)
			return false;
	}
	return true;
}

// A person's name word by word, so that a part of it that stands alone has the same alias.
static int replace_words(struct tdm_hiding *h, struct tdm_vault *vault, const struct tdm_find *find, const char *value,
                         size_t n, struct tdm_bytes *out, const struct tdm_spelling **spelling, struct tdm_error *err) {
	int status = TDM_OK;
	for (size_t i = 0, m; i < n && status == TDM_OK; i += m + (m == 0)) {
		char folded[64];
		for (m = 0; i + m < n && name_byte(value[i + m]);)
			m++;
		if (m == 0 || is_plain_word(value + i, m)) {
			tdm_bytes_add(out, value + i, m ? m : 1);
			continue;
		}
		for (size_t k = 0; k < m && k < sizeof folded; k++)
			folded[k] = value[i + k] >= 'A' && value[i + k] <= 'Z' ? (char)(value[i + k] + 32) : value[i + k];
		status = tdm_vault_token(vault, find->entity, value + i, m, folded, m < sizeof folded ? m : sizeof folded,
		                         spelling, err);
		if (status == TDM_OK)
			tdm_bytes_add(out, (*spelling)->token, (*spelling)->n_token);
		h->n_tokens += status == TDM_OK;
	}
	return status;
}

static bool goes_by_words(const struct tdm_vault *vault, const struct tdm_find *find, const char *value, size_t n) {
	return !strcmp(find->entity->label, "PERSON") && tdm_vault_wants(vault, "PERSON") && has_words(value, n);
}

static int replace(struct tdm_hiding *h, struct tdm_vault *vault, const struct tdm_text *text,
                   const struct tdm_find *find, struct tdm_bytes *out, struct tdm_error *err) {
	const struct tdm_spelling *spelling = NULL;
	const char *value = text->text + find->start;
	size_t n = find->end - find->start;
	if (find->entity->flags & TDM_ENTITY_ONE_WAY) {
		tdm_bytes_printf(out, "[SECRET:%s]", find->entity->id);
	} else if (goes_by_words(vault, find, value, n)) {
		int status = replace_words(h, vault, find, value, n, out, &spelling, err);
		if (status != TDM_OK)
			return status;
	} else {
		int status = tdm_vault_token(vault, find->entity, value, n, find->folded, find->n_folded, &spelling, err);
		if (status != TDM_OK)
			return status;
		h->n_tokens++;
		tdm_bytes_add(out, spelling->token, spelling->n_token);
	}
	if (h->seen)
		h->seen(h->arg, find, spelling);
	return TDM_OK;
}

static int rewrite(struct tdm_hiding *h, struct tdm_vault *vault, size_t i, struct tdm_error *err) {
	const struct tdm_text *text = &h->texts[i];
	const struct tdm_finds *finds = &h->finds[i];
	struct tdm_bytes out;
	size_t at = 0;
	int status = TDM_OK;
	h->masked[i] = *text;
	if (finds->n == 0)
		return TDM_OK;
	tdm_bytes_init(&out, text->n + finds->n * 64 + 64);
	for (size_t k = 0; k < finds->n && status == TDM_OK; k++) {
		tdm_bytes_add(&out, text->text + at, finds->items[k].start - at);
		status = replace(h, vault, text, &finds->items[k], &out, err);
		at = finds->items[k].end;
	}
	tdm_bytes_add(&out, text->text + at, text->n - at);
	h->masked[i] = (struct tdm_text){.text = tdm_arena_copy(h->arena, out.data ? out.data : "", out.len), .n = out.len};
	if (status == TDM_OK && (out.failed || !h->masked[i].text))
		status = out_of_memory(err);
	tdm_bytes_release(&out);
	return status;
}

// What was just written must restore to what stood there: a live token anywhere else in the text would come back as
// somebody's value. The addresses they stand in are learnt along the way.
static int verify_tokens(struct tdm_hiding *h, struct tdm_error *err) {
	long restored = 0;
	struct tdm_bytes out;
	tdm_bytes_init(&out, 256u << 20);
	for (size_t i = 0; i < h->n; i++) {
		struct tdm_restore stream;
		struct tdm_link link = {.learns = &h->restorer.links};
		tdm_restore_init(&stream, &h->restorer, h->finds[i].n ? &link : NULL, false);
		tdm_bytes_clear(&out);
		tdm_restore_put(&stream, h->masked[i].text, h->masked[i].n, &out);
		tdm_restore_end(&stream, &out);
		restored += stream.restored;
	}
	tdm_bytes_release(&out);
	tdm_links_sort(&h->restorer.links);
	if (h->restorer.links.failed)
		return out_of_memory(err);
	if (restored == h->n_tokens)
		return TDM_OK;
	return tdm_fail(err, TDM_EGUARD, "mask: the text already holds a token of this conversation; nothing was sent");
}

static uint64_t links_secret(const uint8_t key[TDM_SESSION_KEY_BYTES]) {
	static const char links[] = "links";
	uint8_t mac[TDM_SHA256_BYTES];
	uint64_t out;
	tdm_hmac_sha256(key, TDM_SESSION_KEY_BYTES, links, sizeof links, mac);
	memcpy(&out, mac, sizeof out);
	return out >> 4; // below the modulus
}

int tdm_hide(struct tdm_hiding *h, const uint8_t key[TDM_SESSION_KEY_BYTES], struct tdm_error *err) {
	h->masked = tdm_arena_array(h->arena, h->n + 1, sizeof *h->masked);
	h->finds = tdm_arena_array(h->arena, h->n + 1, sizeof *h->finds);
	struct tdm_vault *vault = tdm_vault_new(h->arena, key, h->bits);
	if (!h->masked || !h->finds || !vault)
		return out_of_memory(err);
	tdm_vault_surrogates(vault, h->surrogates, h->texts, h->n);
	int status = tdm_detect(h->detector, h->arena, h->texts, h->n, h->level, h->finds, &h->protect, err);
	for (size_t i = 0; i < h->n && status == TDM_OK; i++)
		status = rewrite(h, vault, i, err);
	tdm_vault_forget_key(vault);
	if (status == TDM_OK && (tdm_restorer_init(&h->restorer, h->arena, vault) != TDM_OK ||
	                         tdm_dictionary_build(&h->protect, h->arena) != TDM_OK))
		status = out_of_memory(err);
	h->restorer.links = (struct tdm_links){.origins = h->links, .arena = h->arena, .secret = links_secret(key)};
	return status == TDM_OK ? verify_tokens(h, err) : status;
}
