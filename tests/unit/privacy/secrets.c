// Secrets: of every service with a prefix twenty made up and twenty that stop short, and texts with what is told by its
// surroundings alone.
#include "tests.h"
#include "base/random.h"
#include <stdio.h>
#include <string.h>

static const char *const told[] = {
    "aws secret access key {wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}",
    "secret_key: \"{wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY}\"",
    "AKIAIOSFODNN7 {wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY} x",
    "client {Xy18Q~b7LmN0pQr5StUv9WxYz2AbCdEf3GhIjKlM} here",
    "AccountKey={Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==};",
    "storage {Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==}",
    "bot {123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1}",
    "telegram: {987654321:AAF-x0_zQmN7vBkLpR3sTuWyXc5dEgHiJkL}",
    "Authorization: Basic {dXNlcjpwYXNzd29yZDEyMw==}",
    "Authorization: Bearer {mF_9.B5f-4.1JqM}",
    "-H 'Authorization: token {abcdef0123456789XYZab}'",
    "curl -u {anna:geheim} https://x",
    "curl --user \"{bob:s3cret}\" https://x",
    "wget --user={x:y12} h",
    "DB_PASSWORD={hunter2}",
    "export API_KEY={abc123def}",
    "PASSWORD=\"{correct horse}\"",
    "MYSQL_PWD={letmein}\n",
    "AWS_SECRET={abcd-efgh}",
    "Server=db;Uid=sa;Password={Pa55};",
    "host=localhost dbname=x user=u password={geheim}",
    "kind: Secret\nmetadata:\n  name: x\ndata:\n  {user: YWRtaW4=\n  pass: cGFzcw==}\n",
    "x = \"{Zq8Rk2Lm9Xw4Vt7Yb1Nc5Hd3Jf6Gs0Pa}\"",
    "y = '{3f786850e387550fdab836ed7e6dc881de23001b}'",
    "{PuTTY-User-Key-File-2: ssh-rsa\nComment: x\nPrivate-MAC: 0badc0de}\nafter",
    "{-----BEGIN PGP PRIVATE KEY BLOCK-----\nabc\n-----END PGP PRIVATE KEY BLOCK-----}",
    "{-----BEGIN PKCS12-----\nMII\n-----END PKCS12-----}",
    "\"private_key_id\": \"{0123456789abcdef0123456789abcdef01234567}\"",
    "{ghp_nsGAgY0PRSUJWCrFGFKZfPfCjTmsrk35xsgF}",
    NULL};
static const char *const untold[] = {
    "max_tokens = request->max_tokens;",
    "int token = t->all.leaves[i].token;",
    "auth_key = &state->keys[k2].bytes",
    "token: tokens_2024[index_5].value",
    "static const char set[] = \"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/\";",
    "the wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY of it",
    "aws secret access key aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "client Q~short",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw== alone",
    "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1",
    "bot 12:AAHdqTcv",
    "basic mathematics",
    "Bearer of good news, bearing",
    "token economy",
    "the bearer understands",
    "curl -u name https://x",
    "ls -u a:b",
    "cat file -u x:y",
    "DB_PASSWORD=",
    "DB_PASSWORD=$PW",
    "PASSWORD=${PASSWORD}",
    "MAX_TOKEN=4096",
    "PASSWORD=<yours>",
    "API_KEY={{ key }}",
    "password = none of it",
    "Password=abc",
    "kind: Secret",
    "kind: Service\ndata:\n  a: YWRtaW4=",
    "x = \"abcdefghijklmnopqrstuvwxyz\"",
    "commit \"3f786850e387550fdab836ed7e6dc881de23001b\"",
    "\"123e4567-e89b-12d3-a456-426614174000\"",
    "\"integrity\": \"sha512-Zq8Rk2Lm9Xw4Vt7Yb1Nc5Hd3Jf6Gs0Pa\"",
    "\"01234567890123456789\"",
    "TOKEN=true",
    "API_KEY=xxxx",
    "secret: https://vault.example/v1",
    NULL};

// What follows the prefix: how many characters, of which alphabet (see below).
static const struct {
	const char *prefix;
	int n;
	char alphabet;
} services[] = {
    {"ABSK", 110, 'b'},
    {"glpat-", 20, 'a'},
    {"glptt-", 40, 'h'},
    {"glsoat-", 20, 'a'},
    {"glagent-", 50, 'a'},
    {"gldt-", 20, 'a'},
    {"glrt-", 20, 'a'},
    {"GR1348941", 20, 'a'},
    {"npm_", 36, 'a'},
    {"pypi-AgEIcHlwaS5vcmc", 50, 'a'},
    {"rubygems_", 48, 'h'},
    {"hf_", 34, 'l'},
    {"api_org_", 34, 'l'},
    {"sk-ant-api03-", 95, 'a'},
    {"sk-ant-admin01-", 95, 'a'},
    {"sk-proj-", 74, 'a'},
    {"sk-svcacct-", 74, 'a'},
    {"pplx-", 48, 'a'},
    {"xoxb-", 24, 'd'},
    {"xoxe.xoxb-", 40, 'a'},
    {"xapp-", 24, 'd'},
    {"sk_live_", 24, 'a'},
    {"rk_prod_", 24, 'a'},
    {"whsec_", 32, 'a'},
    {"sq0atp-", 22, 'a'},
    {"SG.", 66, 'a'},
    {"xkeysib-", 80, 'h'},
    {"SK", 32, 'h'},
    {"dapi", 32, 'h'},
    {"dop_v1_", 64, 'h'},
    {"dor_v1_", 64, 'h'},
    {"shpat_", 32, 'h'},
    {"shpss_", 32, 'h'},
    {"glsa_", 41, 'a'},
    {"glc_", 40, 'a'},
    {"lin_api_", 40, 'a'},
    {"ntn_12345678901", 35, 'a'},
    {"sntrys_", 60, 'a'},
    {"sntryu_", 64, 'h'},
    {"ops_eyJ", 260, 'b'},
    {"AGE-SECRET-KEY-1", 58, 'u'},
    {"hvs.", 95, 'a'},
    {"hvb.", 140, 'a'},
    {"pul-", 40, 'h'},
    {"dp.pt.", 43, 'a'},
    {"pscale_tkn_", 43, 'a'},
    {"pscale_pw_", 43, 'a'},
    {"PMAK-", 59, 'h'},
    {"pnu_", 36, 'a'},
    {"rdme_", 70, 'a'},
    {"shippo_live_", 40, 'h'},
    {"dt0c01.", 88, 'a'},
    {"NRAK-", 27, 'u'},
    {"v1.0-0123456789abcdef01234567-", 146, 'h'},
    {"fo1_", 43, 'a'},
    {"fm2_", 100, 'b'},
    {"HRKU-", 60, 'a'},
    {"AKCp", 69, 'a'},
    {"EAAM", 110, 'a'},
    {"p8e-", 32, 'a'},
    {"LTAI", 20, 'a'},
    {"EZAK", 54, 'a'},
    {"duffel_live_", 43, 'a'},
    {"patAbCdEfGhIjKlMn.", 64, 'h'},
    {"sha256~", 43, 'a'},
    {"API-", 26, 'u'},
    {"sgp_", 40, 'h'},
    {"ghu_", 36, 'a'},
    {"github_pat_", 82, 'a'},
    {"GOCSPX-", 28, 'a'},
    {"ya29.", 60, 'a'},
    {"AIza", 35, 'a'},
    {"AKIA", 16, 'c'},
};

static const char *alphabet_of(char name) {
	switch (name) {
	case 'h':
		return "0123456789abcdef";
	case 'd':
		return "0123456789";
	case 'l':
		return "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	case 'u':
		return "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
	case 'c':
		return "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	default:
		return "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	}
}

static void make_up(struct tdm_rng *rng, char *out, size_t cap, const char *prefix, int n, char alphabet, bool marked) {
	const char *from = alphabet_of(alphabet);
	int at = snprintf(out, cap, "x %s%s", marked ? "{" : "", prefix);
	for (int i = 0; i < n; i++)
		out[at++] = from[tdm_rng_below(rng, (uint32_t)strlen(from))];
	snprintf(out + at, cap - (size_t)at, "%s.", marked ? "}" : "");
}

static void every_service(void **state) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, 3);
	for (size_t i = 0; i < sizeof services / sizeof *services; i++)
		for (int k = 0; k < 20; k++) {
			char text[400];
			const char *one[] = {text, NULL};
			make_up(&rng, text, sizeof text, services[i].prefix, services[i].n, services[i].alphabet, true);
			assert_found("SECRET", 1, one);
			make_up(&rng, text, sizeof text, services[i].prefix, k % 7, services[i].alphabet, false);
			assert_not_found("SECRET", 1, one);
		}
}

static void told_by_surroundings(void **state) {
	assert_found("SECRET", 1, told);
}

static void not_told(void **state) {
	assert_not_found("SECRET", 1, untold);
}

int tdm_test_secrets(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_service),
	    cmocka_unit_test(told_by_surroundings),
	    cmocka_unit_test(not_told),
	};
	return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
