// Wallets: addresses of currencies without a bank. Base58Check, Bech32 and Bech32m, the mixed case of Ethereum, the
// blocks of Monero. Formats are public facts of the networks. A new currency: a row with its check, built from the
// same parts.
#include "privacy/detect/wallet.h"
#include "base/crypto.h"
#include <string.h>

#define LONGEST 96       // of a word that is read; the longest address has 95 characters
#define LIMBS 18         // of 32 bits: 96 characters of base 58 need 563 bits
#define KECCAK_RATE 136  // bytes, of the 256-bit hash
#define KECCAK_PADDING 1 // the original one; SHA-3 has 6

static bool alnum(char c) {
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// --- Keccak-256

static uint64_t rotate(uint64_t x, unsigned n) {
	return n ? x << n | x >> (64 - n) : x;
}

// One bit of the round constants: a linear feedback register over x^8 + x^6 + x^5 + x^4 + 1.
static bool next_bit(uint8_t *r) {
	bool bit = *r & 1;
	*r = *r & 0x80 ? (uint8_t)(*r << 1 ^ 0x71) : (uint8_t)(*r << 1);
	return bit;
}

static void mix_columns(uint64_t a[25]) {
	uint64_t c[5];
	for (int x = 0; x < 5; x++)
		c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
	for (int i = 0; i < 25; i++)
		a[i] ^= c[(i + 4) % 5] ^ rotate(c[(i + 1) % 5], 1);
}

static void turn_lanes(uint64_t a[25]) {
	uint64_t moving = a[1];
	for (int t = 0, x = 1, y = 0; t < 24; t++) {
		int next = (2 * x + 3 * y) % 5;
		x = y;
		y = next;
		uint64_t kept = a[x + 5 * y];
		a[x + 5 * y] = rotate(moving, (unsigned)((t + 1) * (t + 2) / 2 % 64));
		moving = kept;
	}
}

static void mix_rows(uint64_t a[25]) {
	for (int y = 0; y < 25; y += 5) {
		uint64_t row[5];
		memcpy(row, a + y, sizeof row);
		for (int x = 0; x < 5; x++)
			a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
	}
}

static void permute(uint64_t a[25]) {
	uint8_t lfsr = 1;
	for (int round = 0; round < 24; round++) {
		mix_columns(a);
		turn_lanes(a);
		mix_rows(a);
		for (int j = 0; j < 7; j++)
			if (next_bit(&lfsr))
				a[0] ^= UINT64_C(1) << ((1u << j) - 1);
	}
}

static void absorb(uint64_t a[25], const uint8_t *block) {
	for (int i = 0; i < KECCAK_RATE; i++)
		a[i / 8] ^= (uint64_t)block[i] << 8 * (i % 8);
	permute(a);
}

void tdm_keccak256(const void *data, size_t n, uint8_t out[32]) {
	const uint8_t *p = data;
	uint64_t a[25] = {0};
	uint8_t last[KECCAK_RATE] = {0};
	for (; n >= KECCAK_RATE; n -= KECCAK_RATE, p += KECCAK_RATE)
		absorb(a, p);
	if (n)
		memcpy(last, p, n);
	last[n] = KECCAK_PADDING;
	last[KECCAK_RATE - 1] |= 0x80;
	absorb(a, last);
	for (int i = 0; i < 32; i++)
		out[i] = (uint8_t)(a[i / 8] >> 8 * (i % 8));
}

// --- base 58

static int base58_value(char c) {
	static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
	const char *p = c ? strchr(alphabet, c) : NULL;
	return p ? (int)(p - alphabet) : -1;
}

// The bytes that s[0..n) spells, the first one first; their number, or -1. out has room for `cap`.
static int base58_decode(const char *s, int n, uint8_t *out, int cap) {
	uint32_t limb[LIMBS] = {0};
	int used = 0, zeros = 0, bytes;
	while (zeros < n && s[zeros] == '1')
		zeros++;
	for (int i = 0; i < n; i++) {
		int value = base58_value(s[i]);
		uint64_t carry = (uint64_t)value;
		if (value < 0)
			return -1;
		for (int k = 0; k < used || carry; k++) {
			if (k == LIMBS)
				return -1;
			carry += (uint64_t)limb[k] * 58;
			limb[k] = (uint32_t)carry;
			carry >>= 32;
			used = k >= used ? k + 1 : used;
		}
	}
	for (bytes = used * 4; bytes > 0 && (limb[(bytes - 1) / 4] >> 8 * ((bytes - 1) % 4) & 255) == 0;)
		bytes--;
	if (zeros + bytes > cap)
		return -1;
	memset(out, 0, (size_t)zeros);
	for (int i = 0; i < bytes; i++)
		out[zeros + i] = (uint8_t)(limb[(bytes - 1 - i) / 4] >> 8 * ((bytes - 1 - i) % 4));
	return zeros + bytes;
}

// The whole word of letters and digits that the anchor stands in. Returns its length, 0 when it is too long.
static int read_word(struct tdm_candidate *c) {
	size_t i = c->anchor;
	while (i > 0 && alnum(c->text[i - 1]) && c->anchor - i <= LONGEST)
		i--;
	c->start = i;
	for (i = c->anchor; alnum(c->text[i]) && i - c->start <= LONGEST;)
		i++;
	c->end = i;
	return c->end - c->start <= LONGEST ? (int)(c->end - c->start) : 0;
}

// 25 bytes of one of these versions, the last four of them the beginning of the double hash of the others.
static enum tdm_check base58_check(struct tdm_candidate *c, const uint8_t *versions, size_t n_versions) {
	uint8_t bytes[25], hash[TDM_SHA256_BYTES];
	int n = read_word(c);
	if (n < 25 || n > 35 || base58_decode(c->text + c->start, n, bytes, 25) != 25 ||
	    !memchr(versions, bytes[0], n_versions))
		return TDM_CHECK_NONE;
	tdm_sha256(bytes, 21, hash);
	tdm_sha256(hash, sizeof hash, hash);
	return memcmp(hash, bytes + 21, 4) == 0 ? TDM_CHECK_PASS : TDM_CHECK_NONE;
}

enum tdm_check tdm_check_bitcoin(struct tdm_candidate *c) {
	return base58_check(c, (const uint8_t[]){0, 5}, 2);
}

enum tdm_check tdm_check_litecoin(struct tdm_candidate *c) {
	return base58_check(c, (const uint8_t[]){48, 50}, 2);
}

enum tdm_check tdm_check_tron(struct tdm_candidate *c) {
	return base58_check(c, (const uint8_t[]){65}, 1);
}

enum tdm_check tdm_check_solana(struct tdm_candidate *c) {
	uint8_t bytes[32];
	int n = read_word(c);
	return n >= 32 && n <= 44 && base58_decode(c->text + c->start, n, bytes, 32) == 32 ? TDM_CHECK_ABSTAIN
	                                                                                   : TDM_CHECK_NONE;
}

// Blocks of eight bytes are eleven characters each, the last five bytes seven.
static bool monero_decode(const char *s, uint8_t out[69]) {
	for (int block = 0; block < 9; block++) {
		int characters = block < 8 ? 11 : 7, bytes = block < 8 ? 8 : 5;
		uint8_t part[16];
		int n = base58_decode(s + block * 11, characters, part, 16);
		int zeros = 0; // the block has a fixed width: zeros in front are no digits of their own
		while (zeros < n && part[zeros] == 0)
			zeros++;
		if (n < 0 || n - zeros > bytes)
			return false;
		memset(out + block * 8, 0, (size_t)bytes);
		memcpy(out + block * 8 + bytes - (n - zeros), part + zeros, (size_t)(n - zeros));
	}
	return true;
}

enum tdm_check tdm_check_monero(struct tdm_candidate *c) {
	uint8_t bytes[69], hash[32];
	if (read_word(c) != 95 || !strchr("48", c->text[c->start]) || !monero_decode(c->text + c->start, bytes))
		return TDM_CHECK_NONE;
	tdm_keccak256(bytes, 65, hash);
	return memcmp(hash, bytes + 65, 4) == 0 ? TDM_CHECK_PASS : TDM_CHECK_ABSTAIN;
}

// --- Bech32

static uint32_t polymod(uint32_t state, int value) {
	static const uint32_t generator[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
	uint32_t top = state >> 25;
	state = (state & 0x1ffffff) << 5 ^ (uint32_t)value;
	for (int i = 0; i < 5; i++)
		state ^= top >> i & 1 ? generator[i] : 0;
	return state;
}

static int bech32_value(char c) {
	static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
	const char *p = c ? strchr(alphabet, c) : NULL;
	return p ? (int)(p - alphabet) : -1;
}

// The human-readable part, then the data; the remainder is 1 (Bech32) or the constant of Bech32m.
static bool bech32_agrees(const char *s, int n, int human) {
	uint32_t state = 1;
	for (int i = 0; i < human; i++)
		state = polymod(state, s[i] >> 5);
	state = polymod(state, 0);
	for (int i = 0; i < human; i++)
		state = polymod(state, s[i] & 31);
	for (int i = human + 1; i < n; i++) {
		int value = bech32_value(s[i]);
		if (value < 0)
			return false;
		state = polymod(state, value);
	}
	return state == 1 || state == 0x2bc830a3;
}

enum tdm_check tdm_check_bech32(struct tdm_candidate *c) {
	char s[LONGEST];
	int n = read_word(c), small = 0, capital = 0, human = 0;
	if (n < 14 || n > 90)
		return TDM_CHECK_NONE;
	for (int i = 0; i < n; i++) {
		char ch = c->text[c->start + (size_t)i];
		small += ch >= 'a' && ch <= 'z';
		capital += ch >= 'A' && ch <= 'Z';
		s[i] = ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch;
	}
	while (human < n && s[human] != '1')
		human++;
	return !(small && capital) && n - human >= 8 && bech32_agrees(s, n, human) ? TDM_CHECK_PASS : TDM_CHECK_NONE;
}

// --- Ethereum

// The case of a letter is the bit of the hash of the small ones.
static bool case_agrees(const char *hex) {
	char small[40];
	uint8_t hash[32];
	for (int i = 0; i < 40; i++)
		small[i] = hex[i] >= 'A' && hex[i] <= 'F' ? (char)(hex[i] + 32) : hex[i];
	tdm_keccak256(small, sizeof small, hash);
	for (int i = 0; i < 40; i++) {
		bool capital = (hash[i / 2] >> (i % 2 ? 0 : 4) & 15) >= 8;
		if (small[i] >= 'a' && (hex[i] < 'a') != capital)
			return false;
	}
	return true;
}

enum tdm_check tdm_check_ethereum(struct tdm_candidate *c) {
	int small = 0, capital = 0;
	c->end = c->anchor - 1; // the anchor holds the character behind
	c->start = c->end - 42;
	for (size_t i = c->start + 2; i < c->end; i++) {
		small += c->text[i] >= 'a';
		capital += c->text[i] >= 'A' && c->text[i] <= 'F';
	}
	return small && capital && case_agrees(c->text + c->start + 2) ? TDM_CHECK_PASS : TDM_CHECK_ABSTAIN;
}
