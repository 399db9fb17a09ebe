// Compact: numbers of people and firms that are a few letters and digits, with or without separators. All of them share
// one anchor, the end of digits or of the few letters behind them: what ends there is compared with the shapes of its
// length, which are two masks of bits each. A new number is a row in a pack (pack_*.h).
#pragma once
#include "privacy/detect/entities.h"

bool tdm_compact_prepare(void); // reads the shapes of the table, once for the process; false: there are too many
// Reads what ends at c->anchor - 1, each group once: c->compact, zeroed for a new text, knows those in front from the
// anchors before. False when it is too short for any row. alone: no context can speak for it, so that the end of a
// group is read alone where the run goes on behind it.
bool tdm_compact_read(struct tdm_candidate *c, bool alone);
// Called for each row that fits one of the groups' starts, with c->entity, c->start and c->end set, the longest first.
// embedded: part of a longer run, so that only context tells it from a part of something else.
typedef void tdm_compact_fn(void *arg, struct tdm_candidate *c, enum tdm_check verdict, bool embedded);
// need: flags that a row must have. context: the rows for which a word stands near, TDM_ENTITY_SETS words; NULL = none.
void tdm_compact_match(struct tdm_candidate *c, int level, unsigned need, const uint64_t *context,
                       tdm_compact_fn *found, void *arg);
// What the check of a row says about s[0..n), capitals and digits of the row's first shape of this length.
enum tdm_check tdm_compact_judge(const struct tdm_entity *row, const char *s, int n);
// The digits of s[0..n) with their letters as A = 10 ..., modulo 97.
int tdm_mod97(const char *s, int n);
bool tdm_luhn_text(const char *s, int n); // letters as two digits
