// National: what the weights of a row cannot say about a number of a country: check digits of other kinds, and numbers
// that were never given out. s: capitals and digits without separators and without the letters in front; n of them.
#pragma once
#include "privacy/detect/entities.h"

enum tdm_check tdm_valid_luhn(const char *s, int n);
enum tdm_check tdm_valid_verhoeff(const char *s, int n);
enum tdm_check tdm_valid_mod_11_10(const char *s, int n); // ISO 7064
enum tdm_check tdm_valid_mod97(const char *s, int n);     // a remainder of 1

enum tdm_check tdm_valid_us_itin(const char *s, int n);
enum tdm_check tdm_valid_us_ein(const char *s, int n);
enum tdm_check tdm_valid_us_npi(const char *s, int n);
enum tdm_check tdm_valid_us_dea(const char *s, int n);
enum tdm_check tdm_valid_us_mbi(const char *s, int n);
enum tdm_check tdm_valid_us_aba(const char *s, int n);
enum tdm_check tdm_valid_ca_sin(const char *s, int n);
enum tdm_check tdm_valid_br_cnpj(const char *s, int n);
enum tdm_check tdm_valid_br_cpf(const char *s, int n);
enum tdm_check tdm_valid_mx_curp(const char *s, int n);
enum tdm_check tdm_valid_uy_rut(const char *s, int n);

enum tdm_check tdm_valid_uk_nino(const char *s, int n);
enum tdm_check tdm_valid_uk_dl(const char *s, int n);
enum tdm_check tdm_valid_de_id(const char *s, int n);
enum tdm_check tdm_valid_de_rvnr(const char *s, int n);
enum tdm_check tdm_valid_de_kvnr(const char *s, int n);
enum tdm_check tdm_valid_fr_nir(const char *s, int n);
enum tdm_check tdm_valid_fr_tva(const char *s, int n);
enum tdm_check tdm_valid_es_nif(const char *s, int n); // DNI, NIE and CIF
enum tdm_check tdm_valid_es_nie(const char *s, int n);
enum tdm_check tdm_valid_it_cf(const char *s, int n);
enum tdm_check tdm_valid_nl_bsn(const char *s, int n);
enum tdm_check tdm_valid_be_nrn(const char *s, int n);
enum tdm_check tdm_valid_be_vat(const char *s, int n);
enum tdm_check tdm_valid_fi_hetu(const char *s, int n);
enum tdm_check tdm_valid_ro_cnp(const char *s, int n);
enum tdm_check tdm_valid_se_pnr(const char *s, int n);
enum tdm_check tdm_valid_cl_rut(const char *s, int n);

enum tdm_check tdm_valid_in_aadhaar(const char *s, int n);
enum tdm_check tdm_valid_in_pan(const char *s, int n);
enum tdm_check tdm_valid_in_gstin(const char *s, int n);
enum tdm_check tdm_valid_in_voter(const char *s, int n);
enum tdm_check tdm_valid_cn_ric(const char *s, int n);
enum tdm_check tdm_valid_kr_rrn(const char *s, int n);
enum tdm_check tdm_valid_tr_tckn(const char *s, int n);
enum tdm_check tdm_valid_sg_nric(const char *s, int n);
enum tdm_check tdm_valid_hk_id(const char *s, int n);
enum tdm_check tdm_valid_au_abn(const char *s, int n);
enum tdm_check tdm_valid_vin(const char *s, int n);
enum tdm_check tdm_valid_isin(const char *s, int n);
