// Local: a model whose weights run in this process.
#pragma once
#include "engine/engine.h"
#include "models/model.h"

// Its engine; NULL when the model is not of kind local.
struct tdm_engine *tdm_local_engine(const struct tdm_model *m);
// What its engine says of itself; NULL when the model is not of kind local.
const struct tdm_engine_info *tdm_local_info(const struct tdm_model *m);
