// Gauges: circuits of upstreams, batches and caches of engines.
#include "serve/watch/gauges.h"
#include "ledger/metric.h"
#include "models/local/local.h"
#include "models/sources.h"

static void set_gauges(const struct tdm_model *m) {
	struct tdm_engine *engine = tdm_local_engine(m);
	struct tdm_remote_place place;
	if (tdm_remote_place(m, &place))
		tdm_metric_set(TDM_METRIC_CIRCUIT, tdm_remote_is_open((struct tdm_model *)m), TDM_LABELS(m->name));
	if (engine) {
		struct tdm_load load = tdm_engine_load(engine);
		tdm_metric_set(TDM_METRIC_ENGINE_ROWS, load.rows, TDM_LABELS(m->name));
		tdm_metric_set(TDM_METRIC_ENGINE_CACHE, load.kv_used, TDM_LABELS(m->name));
	}
	for (size_t i = 0; i < m->n_parts; i++) // parts without a name of their own among them
		set_gauges(m->parts[i]);
}

void tdm_set_gauges_of(const struct tdm_tree *tree) {
	struct tdm_model *const *models;
	size_t n = tdm_tree_models(tree, &models);
	for (size_t i = 0; i < n; i++)
		set_gauges(models[i]);
}
