// Contact: see contact.c.
#pragma once
#include "privacy/detect/entities.h"

enum tdm_check tdm_check_url(struct tdm_candidate *c);
enum tdm_check tdm_check_domain(struct tdm_candidate *c);
enum tdm_check tdm_check_handle(struct tdm_candidate *c);
enum tdm_check tdm_check_user_name(struct tdm_candidate *c);
enum tdm_check tdm_check_path(struct tdm_candidate *c);
enum tdm_check tdm_check_mac(struct tdm_candidate *c);
enum tdm_check tdm_check_position(struct tdm_candidate *c);
