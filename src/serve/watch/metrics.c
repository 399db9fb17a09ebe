// Metrics: GET /metrics, for keys with the right to administrate, and without one for this machine alone. What happens
// is counted where it happens (ledger/metric.h); here are the figures that are looked up when somebody asks.
#include "ledger/metric.h"
#include "base/clock.h"
#include "base/log.h"
#include "models/sources.h"
#include "serve/formats/format.h"
#include "serve/watch/gauges.h"
#include "serve/server_parts.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define OPENMETRICS "application/openmetrics-text"
#define TEXT_LIMIT_BYTES ((size_t)32 << 20)

// A proxy on this machine speaks for clients that are elsewhere.
static bool is_local(const struct tdm_exchange *x) {
	static const char *const forwarded[] = {"x-forwarded-for", "forwarded", "x-real-ip", "via"};
	for (size_t i = 0; i < TDM_COUNT(forwarded); i++)
		if (tdm_exchange_header(x, forwarded[i]))
			return false;
	return tdm_exchange_is_local(x);
}

static void set_gauges(struct tdm_call_context *c) {
	struct tdm_server *s = c->server;
	size_t busy, waiting;
	if (c->setup)
		tdm_set_gauges_of(c->setup->tree);
	tdm_http_load(s->http, &busy, &waiting);
	tdm_metric_set(TDM_METRIC_LOG_LOST, (double)tdm_log_lost(), TDM_LABELS(NULL));
	tdm_metric_set(TDM_METRIC_INFLIGHT, (double)busy, TDM_LABELS(NULL));
	tdm_metric_set(TDM_METRIC_QUEUE_DEPTH, (double)waiting, TDM_LABELS(NULL));
}

// --- the process

static void put(struct tdm_bytes *out, const char *name, const char *kind, const char *suffix, double value) {
	tdm_bytes_printf(out, "# TYPE process_%s %s\nprocess_%s%s ", name, kind, name, suffix);
	tdm_bytes_number(out, value);
	tdm_bytes_putc(out, '\n');
}

static int count_files(void) {
	DIR *d = opendir("/proc/self/fd");
	int n = -3; // ".", ".." and the folder itself
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n < 0 ? 0 : n;
}

static void put_process(struct tdm_bytes *out, const struct tdm_server *s, bool openmetrics) {
	struct rusage usage;
	struct rlimit files;
	unsigned long pages = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	if (f) {
		if (fscanf(f, "%lu %lu", &pages, &resident) != 2)
			pages = resident = 0;
		fclose(f);
	}
	getrusage(RUSAGE_SELF, &usage);
	getrlimit(RLIMIT_NOFILE, &files);
	double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	             (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	double page = (double)sysconf(_SC_PAGESIZE);
	put(out, openmetrics ? "cpu_seconds" : "cpu_seconds_total", "counter", openmetrics ? "_total" : "", cpu);
	put(out, "resident_memory_bytes", "gauge", "", (double)resident * page);
	put(out, "virtual_memory_bytes", "gauge", "", (double)pages * page);
	put(out, "open_fds", "gauge", "", count_files());
	put(out, "max_fds", "gauge", "", (double)files.rlim_cur);
	put(out, "start_time_seconds", "gauge", "", (double)s->started_us / 1e6);
}

static void put_build(struct tdm_bytes *out) {
	tdm_bytes_printf(out, "# TYPE tandem_build_info gauge\ntandem_build_info{version=\"%s\",commit=\"%s\"} 1\n",
	                 TDM_VERSION, TDM_COMMIT);
}

static void reply(struct tdm_call_context *c, bool openmetrics) {
	struct tdm_bytes body;
	tdm_bytes_init(&body, TEXT_LIMIT_BYTES);
	set_gauges(c);
	tdm_metrics_write(&body, openmetrics);
	put_build(&body);
	put_process(&body, c->server, openmetrics);
	if (openmetrics)
		tdm_bytes_puts(&body, "# EOF\n");
	tdm_exchange_reply(c->x, 200,
	                   openmetrics ? OPENMETRICS "; version=1.0.0; charset=utf-8"
	                               : "text/plain; version=0.0.4; charset=utf-8",
	                   body.data ? body.data : "", body.len);
	tdm_bytes_release(&body);
}

void tdm_handle_metrics(struct tdm_call_context *c) {
	const char *accept = tdm_exchange_header(c->x, "accept");
	bool has_right = is_local(c->x) || (c->setup && !tdm_authenticate(c) && c->who.key && c->who.admin);
	if (has_right) {
		reply(c, accept && strstr(accept, OPENMETRICS));
		return;
	}
	tdm_fail(&c->error, TDM_EADMIN, "metrics are for this machine, or for a key with the right to administrate");
	tdm_reply_error(c, NULL);
}
