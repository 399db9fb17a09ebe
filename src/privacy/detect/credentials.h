// Credentials: secrets that are told by what stands around them. See credentials.c.
#pragma once
#include "privacy/detect/entities.h"

enum tdm_check tdm_check_putty_key(struct tdm_candidate *c);
enum tdm_check tdm_check_aws_secret(struct tdm_candidate *c);
enum tdm_check tdm_check_azure_secret(struct tdm_candidate *c);
enum tdm_check tdm_check_azure_storage(struct tdm_candidate *c);
enum tdm_check tdm_check_github(struct tdm_candidate *c);
enum tdm_check tdm_check_terraform(struct tdm_candidate *c);
enum tdm_check tdm_check_telegram(struct tdm_candidate *c);
enum tdm_check tdm_check_header(struct tdm_candidate *c);      // "Bearer x", "Basic x"
enum tdm_check tdm_check_user_option(struct tdm_candidate *c); // curl -u name:password
enum tdm_check tdm_check_environment(struct tdm_candidate *c); // DB_PASSWORD=x
enum tdm_check tdm_check_connection(struct tdm_candidate *c);  // Server=a;Password=x;
enum tdm_check tdm_check_kubernetes(struct tdm_candidate *c);  // the data of a Secret
enum tdm_check tdm_check_quoted(struct tdm_candidate *c);      // a string of high entropy without a name
