// Wallets: the checks of addresses of currencies without a bank, and the hash that some of them need.
#pragma once
#include "privacy/detect/entities.h"

enum tdm_check tdm_check_bitcoin(struct tdm_candidate *c);
enum tdm_check tdm_check_litecoin(struct tdm_candidate *c);
enum tdm_check tdm_check_tron(struct tdm_candidate *c);
enum tdm_check tdm_check_monero(struct tdm_candidate *c);
enum tdm_check tdm_check_solana(struct tdm_candidate *c); // the form alone
enum tdm_check tdm_check_bech32(struct tdm_candidate *c);
enum tdm_check tdm_check_ethereum(struct tdm_candidate *c);

void tdm_keccak256(const void *data, size_t n, uint8_t out[32]);
