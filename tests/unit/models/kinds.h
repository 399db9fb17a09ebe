// Kinds that exist only in these tests: `pass` calls its inner model, `need` wants what its role says, `far` leaves.
#pragma once
#include "models/sources.h"

extern const struct tdm_kind *const test_kinds[];
extern int n_destroyed;       // models of kind pass destroyed so far
extern char destroyed[8][32]; // their names, in order
