// Metric: the series of each metric are chains that only grow; a lock is taken to add one, never to count.
#include "ledger/metric.h"
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define N_LABELS 4
#define N_CHAINS 64
#define MOST_BUCKETS 17
#define LABEL_LIMIT_BYTES 128

enum kind { COUNTER, GAUGE, HISTOGRAM };
enum unit { ONE, SECONDS, MONEY, SHARE };

static const double scales[] = {[ONE] = 1, [SECONDS] = 1e6, [MONEY] = 1e9, [SHARE] = 1e6};
static const double second_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                       0.5,    1,     2.5,    5,     10,   25,    60,   120};
static const double share_bounds[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1};

static const struct row {
	enum kind kind;
	enum unit unit;
	const char *name, *labels, *help;
} rows[TDM_N_METRICS] = {
#define X(name, kind, unit, text, labels, help) {kind, unit, text, labels, help},
    TDM_METRIC_TABLE(X)
#undef X
};

struct series {
	struct series *next;
	uint64_t hash;
	char *label[N_LABELS];
	atomic_llong value; // in 1/scale; of a histogram the sum
	atomic_llong count[MOST_BUCKETS + 1];
};

static struct metric {
	_Atomic(struct series *) chain[N_CHAINS];
	size_t n; // guarded by the lock
} metrics[TDM_N_METRICS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards the ends of chains

static size_t label_count(enum tdm_metric m) {
	size_t n = *rows[m].labels != 0;
	for (const char *p = rows[m].labels; *p; p++)
		n += *p == ',';
	return n;
}

static size_t bounds_of(enum tdm_metric m, const double **out) {
	bool shares = rows[m].unit == SHARE;
	*out = shares ? share_bounds : second_bounds;
	return shares ? sizeof share_bounds / sizeof *share_bounds : sizeof second_bounds / sizeof *second_bounds;
}

// --- series

static uint64_t hash_labels(const struct tdm_labels *l, size_t n) {
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < n; i++) {
		for (const char *p = l->value[i]; *p; p++)
			h = (h ^ (unsigned char)*p) * 1099511628211u;
		h = (h ^ 0xff) * 1099511628211u;
	}
	return h;
}

static struct series *look(struct metric *metric, uint64_t hash, const struct tdm_labels *l, size_t n) {
	struct series *s = atomic_load_explicit(&metric->chain[hash % N_CHAINS], memory_order_acquire);
	for (; s; s = s->next) {
		size_t same = 0;
		while (s->hash == hash && same < n && !strcmp(s->label[same], l->value[same]))
			same++;
		if (s->hash == hash && same == n)
			return s;
	}
	return NULL;
}

static struct series *series_new(uint64_t hash, const struct tdm_labels *l, size_t n) {
	struct series *s = calloc(1, sizeof *s);
	bool failed = !s;
	for (size_t i = 0; i < n && !failed; i++)
		failed = !(s->label[i] = strndup(l->value[i], LABEL_LIMIT_BYTES));
	if (!failed) {
		s->hash = hash;
		return s;
	}
	for (size_t i = 0; i < n && s; i++)
		free(s->label[i]);
	free(s);
	return NULL;
}

// With the lock held, after another look: somebody may have added it.
static struct series *add_series(struct metric *metric, uint64_t hash, const struct tdm_labels *l, size_t n) {
	struct series *s = look(metric, hash, l, n);
	if (s || !(s = series_new(hash, l, n)))
		return s;
	s->next = atomic_load_explicit(&metric->chain[hash % N_CHAINS], memory_order_relaxed);
	atomic_store_explicit(&metric->chain[hash % N_CHAINS], s, memory_order_release);
	metric->n++;
	return s;
}

static struct series *series_of(enum tdm_metric m, struct tdm_labels labels) {
	struct metric *metric = &metrics[m];
	size_t n = label_count(m);
	for (size_t i = 0; i < n; i++)
		if (!labels.value[i])
			labels.value[i] = "none";
	uint64_t hash = hash_labels(&labels, n);
	struct series *s = look(metric, hash, &labels, n);
	if (s)
		return s;
	pthread_mutex_lock(&lock);
	if (metric->n >= TDM_SERIES_LIMIT - 1) {
		for (size_t i = 0; i < n; i++)
			labels.value[i] = "other";
		hash = hash_labels(&labels, n);
	}
	s = add_series(metric, hash, &labels, n);
	pthread_mutex_unlock(&lock);
	return s;
}

// --- counting

static long long scaled(enum tdm_metric m, double value) {
	return isfinite(value) ? llround(value * scales[rows[m].unit]) : 0;
}

void tdm_metric_add(enum tdm_metric m, double amount, struct tdm_labels labels) {
	struct series *s = series_of(m, labels);
	if (s)
		atomic_fetch_add_explicit(&s->value, scaled(m, amount), memory_order_relaxed);
}

void tdm_metric_set(enum tdm_metric m, double value, struct tdm_labels labels) {
	struct series *s = series_of(m, labels);
	if (s)
		atomic_store_explicit(&s->value, scaled(m, value), memory_order_relaxed);
}

void tdm_metric_seen(enum tdm_metric m, double value, struct tdm_labels labels) {
	struct series *s = isfinite(value) ? series_of(m, labels) : NULL;
	const double *bounds;
	size_t n = bounds_of(m, &bounds), at = 0;
	if (!s)
		return;
	while (at < n && value > bounds[at])
		at++;
	atomic_fetch_add_explicit(&s->count[at], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->value, scaled(m, value), memory_order_relaxed);
}

double tdm_metric_value(enum tdm_metric m, struct tdm_labels labels) {
	size_t n = label_count(m);
	for (size_t i = 0; i < n; i++)
		if (!labels.value[i])
			labels.value[i] = "none";
	struct series *s = look(&metrics[m], hash_labels(&labels, n), &labels, n);
	return s ? (double)atomic_load(&s->value) / scales[rows[m].unit] : 0;
}

// --- the text

static void write_value(struct tdm_bytes *out, const char *text) {
	for (; *text; text++) {
		if (*text == '\n')
			tdm_bytes_puts(out, "\\n");
		else if (*text == '"' || *text == '\\')
			tdm_bytes_printf(out, "\\%c", *text);
		else
			tdm_bytes_putc(out, *text);
	}
}

// {a="1",le="0.5"}; le NULL: none.
static void write_labels(struct tdm_bytes *out, enum tdm_metric m, const struct series *s, const char *le) {
	const char *name = rows[m].labels;
	size_t n = label_count(m);
	if (!n && !le)
		return;
	tdm_bytes_putc(out, '{');
	for (size_t i = 0; i < n; i++) {
		size_t len = strcspn(name, ",");
		tdm_bytes_printf(out, "%s%.*s=\"", i ? "," : "", (int)len, name);
		write_value(out, s->label[i]);
		tdm_bytes_putc(out, '"');
		name += len + (name[len] == ',');
	}
	if (le)
		tdm_bytes_printf(out, "%sle=\"%s\"", n ? "," : "", le);
	tdm_bytes_putc(out, '}');
}

static void write_sample(struct tdm_bytes *out, enum tdm_metric m, const struct series *s, const char *suffix,
                         const char *le, double value) {
	tdm_bytes_printf(out, "tandem_%s%s", rows[m].name, suffix);
	write_labels(out, m, s, le);
	tdm_bytes_putc(out, ' ');
	tdm_bytes_number(out, value);
	tdm_bytes_putc(out, '\n');
}

static void write_histogram(struct tdm_bytes *out, enum tdm_metric m, struct series *s) {
	const double *bounds;
	size_t n = bounds_of(m, &bounds);
	long long sum = 0;
	struct tdm_bytes le;
	tdm_bytes_init(&le, 64);
	for (size_t i = 0; i < n; i++) {
		sum += atomic_load(&s->count[i]);
		tdm_bytes_clear(&le);
		tdm_bytes_number(&le, bounds[i]);
		write_sample(out, m, s, "_bucket", le.data ? le.data : "", (double)sum);
	}
	sum += atomic_load(&s->count[n]);
	write_sample(out, m, s, "_bucket", "+Inf", (double)sum);
	write_sample(out, m, s, "_sum", NULL, (double)atomic_load(&s->value) / scales[rows[m].unit]);
	write_sample(out, m, s, "_count", NULL, (double)sum);
	tdm_bytes_release(&le);
}

static void write_head(struct tdm_bytes *out, enum tdm_metric m, bool openmetrics) {
	static const char *const kinds[] = {"counter", "gauge", "histogram"};
	int len = (int)strlen(rows[m].name);
	if (openmetrics && rows[m].kind == COUNTER)
		len -= (int)strlen("_total"); // the family has no suffix there, its samples do
	tdm_bytes_printf(out, "# HELP tandem_%.*s %s\n# TYPE tandem_%.*s %s\n", len, rows[m].name, rows[m].help, len,
	                 rows[m].name, kinds[rows[m].kind]);
}

static void write_metric(struct tdm_bytes *out, enum tdm_metric m, bool openmetrics) {
	bool begun = false;
	for (size_t i = 0; i < N_CHAINS; i++) {
		struct series *s = atomic_load_explicit(&metrics[m].chain[i], memory_order_acquire);
		for (; s; s = s->next) {
			if (!begun)
				write_head(out, m, openmetrics);
			begun = true;
			if (rows[m].kind == HISTOGRAM)
				write_histogram(out, m, s);
			else
				write_sample(out, m, s, "", NULL, (double)atomic_load(&s->value) / scales[rows[m].unit]);
		}
	}
}

void tdm_metrics_write(struct tdm_bytes *out, bool openmetrics) {
	for (int m = 0; m < TDM_N_METRICS; m++)
		write_metric(out, (enum tdm_metric)m, openmetrics);
}
