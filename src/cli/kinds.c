// The list of kinds. A new kind: one file with its row, one line here.
#include "cli/kinds.h"
#include "choose/kinds.h"
#include "cost/kinds.h"
#include "models/sources.h"
#include "privacy/kinds.h"
#include "quality/kinds.h"
#include "trust/kinds.h"

const struct tdm_kind *const tdm_kinds[] = {
    // sources
    &tdm_kind_local,
    &tdm_kind_remote,
    &tdm_kind_script,
    // policies
    &tdm_kind_retry,
    &tdm_kind_fallback,
    &tdm_kind_pool,
    &tdm_kind_tools,
    &tdm_kind_cache,
    &tdm_kind_limit,
    &tdm_kind_budget,
    &tdm_kind_deadline,
    // quality
    &tdm_kind_guide,
    &tdm_kind_fuse,
    // cost
    &tdm_kind_route,
    &tdm_kind_cascade,
    &tdm_kind_speculate,
    &tdm_kind_defer,
    &tdm_kind_shepherd,
    // privacy
    &tdm_kind_mask,
    &tdm_kind_delegate,
    &tdm_kind_perturb,
    &tdm_kind_retrieve,
    // trust
    &tdm_kind_guard,
    // all four goals
    &tdm_kind_choose,
    NULL,
};
