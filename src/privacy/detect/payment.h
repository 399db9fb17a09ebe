// Payment: see payment.c.
#pragma once
#include "privacy/detect/entities.h"

enum tdm_check tdm_check_security_code(struct tdm_candidate *c); // the anchor is the word that names it
enum tdm_check tdm_check_pin(struct tdm_candidate *c);           // likewise
enum tdm_check tdm_check_expiry(struct tdm_candidate *c);
enum tdm_check tdm_check_bic(struct tdm_candidate *c);

enum tdm_beside { TDM_BESIDE_CODE, TDM_BESIDE_EXPIRY, TDM_BESIDE_PIN };
typedef int tdm_beside_fn(void *arg, enum tdm_beside what, size_t start, size_t end);
// What stands within 60 bytes of a card and may belong to it. Stops when `found` answers anything but 0.
int tdm_beside_card(const struct tdm_candidate *card, tdm_beside_fn *found, void *arg);
