// Shape: see shape.h. Names as in SP 800-38G, algorithm 7 (FF1.Encrypt), radix 10.
#include "privacy/mask/shape.h"
#include "base/crypto.h"
#include "privacy/detect/checks.h"
#include <string.h>

#define BLOCK 16
#define ROUNDS 10
#define MOST_TWEAK 64
#define MOST_WALKS 400 // of ten numbers one passes Luhn's check

__extension__ typedef unsigned __int128 wide;

static wide number_of(const uint8_t *digits, size_t n) {
	wide value = 0;
	for (size_t i = 0; i < n; i++)
		value = value * 10 + digits[i];
	return value;
}

static void digits_of(wide value, uint8_t *digits, size_t n) {
	while (n > 0) {
		digits[--n] = (uint8_t)(value % 10);
		value /= 10;
	}
}

static wide power_of_ten(size_t n) {
	wide value = 1;
	while (n-- > 0)
		value *= 10;
	return value;
}

// Bytes of numbers below 10^v: ceil(ceil(v log2(10)) / 8).
static size_t bytes_of(size_t v) {
	size_t bits = 0;
	for (wide most = power_of_ten(v) - 1; most; most >>= 1)
		bits++;
	return (bits + 7) / 8;
}

static int encrypt(const uint8_t key[32], const uint8_t in[BLOCK], uint8_t out[BLOCK]) {
	return tdm_aes256_block(key, in, out) ? TDM_OK : TDM_EINTERNAL;
}

// PRF: the last block of CBC with a zero start.
static int cbc_mac(const uint8_t key[32], const uint8_t *data, size_t n, uint8_t out[BLOCK]) {
	uint8_t block[BLOCK];
	int status = TDM_OK;
	memset(out, 0, BLOCK);
	for (size_t i = 0; i < n && status == TDM_OK; i += BLOCK) {
		for (size_t k = 0; k < BLOCK; k++)
			block[k] = out[k] ^ data[i + k];
		status = encrypt(key, block, out);
	}
	return status;
}

struct cipher {
	const uint8_t *key;
	uint8_t data[BLOCK + MOST_TWEAK + 2 * BLOCK]; // P, then Q: tweak, zeros, round, number
	size_t n, b, d;                               // of data; of the number; of what a round adds
};

static void prepare(struct cipher *c, const uint8_t *tweak, size_t t, size_t n) {
	size_t u = n / 2, b = bytes_of(n - u), zeros = (BLOCK - (t + b + 1) % BLOCK) % BLOCK;
	const uint8_t p[BLOCK] = {1, 2, 1, 0, 0, 10, ROUNDS, (uint8_t)u, 0, 0, 0, (uint8_t)n, 0, 0, 0, (uint8_t)t};
	memset(c->data, 0, sizeof c->data);
	memcpy(c->data, p, BLOCK);
	memcpy(c->data + BLOCK, tweak, t);
	c->b = b;
	c->d = 4 * ((b + 3) / 4) + 4;
	c->n = BLOCK + t + zeros + 1 + b;
}

// y of one round: the first d bytes of R, of which one block is enough here (d <= 16).
static int add_of_round(struct cipher *c, int round, wide half, wide *y) {
	uint8_t r[BLOCK];
	c->data[c->n - c->b - 1] = (uint8_t)round;
	for (size_t i = 0; i < c->b; i++, half >>= 8)
		c->data[c->n - 1 - i] = (uint8_t)half;
	int status = cbc_mac(c->key, c->data, c->n, r);
	*y = 0;
	for (size_t i = 0; i < c->d; i++)
		*y = *y << 8 | r[i];
	return status;
}

int tdm_ff1(const uint8_t key[32], const uint8_t *tweak, size_t n_tweak, uint8_t *digits, size_t n) {
	struct cipher c = {.key = key};
	size_t u = n / 2, v = n - u;
	wide a = number_of(digits, u), b = number_of(digits + u, v), y;
	int status = n_tweak > MOST_TWEAK || n < TDM_SHAPE_FEWEST || n > TDM_SHAPE_MOST ? TDM_EINTERNAL : TDM_OK;
	if (status == TDM_OK)
		prepare(&c, tweak, n_tweak, n);
	for (int i = 0; i < ROUNDS && status == TDM_OK; i++) {
		wide modulus = power_of_ten(i % 2 ? v : u);
		status = add_of_round(&c, i, b, &y);
		wide sum = (a + y % modulus) % modulus;
		a = b;
		b = sum;
	}
	if (status != TDM_OK)
		return status;
	digits_of(a, digits, u); // after an even number of rounds the halves have their lengths again
	digits_of(b, digits + u, v);
	return TDM_OK;
}

static bool checks(const uint8_t *digits, size_t n) {
	uint8_t last_first[TDM_SHAPE_MOST];
	for (size_t i = 0; i < n; i++)
		last_first[i] = digits[n - 1 - i];
	return tdm_luhn(last_first, (int)n);
}

bool tdm_shape(const uint8_t key[32], const char *label, const char *text, size_t n, bool luhn, char *out) {
	uint8_t digits[TDM_SHAPE_MOST];
	size_t count = 0, walks = 0;
	for (size_t i = 0; i < n; i++)
		if (text[i] >= '0' && text[i] <= '9') {
			if (count == TDM_SHAPE_MOST)
				return false;
			digits[count++] = (uint8_t)(text[i] - '0');
		}
	do { // a walk along the cycle ends at another number of the same kind, and no two end at one
		if (walks++ == MOST_WALKS || tdm_ff1(key, (const uint8_t *)label, strlen(label), digits, count) != TDM_OK)
			return false;
	} while (luhn && !checks(digits, count));
	for (size_t i = 0, k = 0; i < n; i++)
		out[i] = text[i] >= '0' && text[i] <= '9' ? (char)('0' + digits[k++]) : text[i];
	return true;
}
