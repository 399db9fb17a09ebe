// Private values as they stand in texts, all made up: valid card numbers, accounts, phones, e-mail addresses, and the
// typed tokens that stand in their place once a text is masked.
#pragma once
#include "eval/gym_draw.h"

enum tdm_gym_value {
	TDM_GYM_EMAIL,
	TDM_GYM_PHONE,
	TDM_GYM_CARD,
	TDM_GYM_IBAN,
	TDM_GYM_SSN,
	TDM_GYM_IP,
	TDM_GYM_N_VALUES, // the private ones end here
	TDM_GYM_CITY = TDM_GYM_N_VALUES,
	TDM_GYM_JOB,
	TDM_GYM_ORDER,
	TDM_GYM_N_DETAILS
};

#define TDM_GYM_PAYLOAD 7

const char *tdm_gym_value_label(enum tdm_gym_value type); // "EMAIL"
const char *tdm_gym_email(struct tdm_gym_draw *draw, const char *first, const char *last);
const char *tdm_gym_phone(struct tdm_gym_draw *draw);
const char *tdm_gym_card(struct tdm_gym_draw *draw);
const char *tdm_gym_iban(struct tdm_gym_draw *draw);
const char *tdm_gym_ssn(struct tdm_gym_draw *draw);
const char *tdm_gym_ip(struct tdm_gym_draw *draw);

bool tdm_gym_card_valid(const char *text); // 16 digits with one kind of separator or none, Luhn
bool tdm_gym_iban_valid(const char *text); // known length of its country, remainder 1 modulo 97

void tdm_gym_payload(struct tdm_gym_draw *draw, char out[TDM_GYM_PAYLOAD + 1]);
// LABEL_ + payload + check character over both.
const char *tdm_gym_token(struct tdm_gym_draw *draw, const char *label, const char payload[TDM_GYM_PAYLOAD + 1]);
// The check character of label and 7 payload characters: '\0' when one is outside the alphabet.
char tdm_gym_token_check(const char *label, const char *payload);
