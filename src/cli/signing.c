#include "cli/signing.h"
#include "base/file.h"
#include "base/random.h"
#include "cli/embedded.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define KEY_TEXT_BYTES (2 * TDM_ED25519_KEY_BYTES)

static int make_key(const char *path, uint8_t key[TDM_ED25519_KEY_BYTES], struct tdm_error *err) {
	char text[KEY_TEXT_BYTES + 2];
	int status = tdm_system_random(key, TDM_ED25519_KEY_BYTES);
	int fd = status ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return tdm_fail(err, TDM_EIO, "%s: the key cannot be made: %s", path, strerror(errno));
	tdm_hex(key, TDM_ED25519_KEY_BYTES, text);
	text[KEY_TEXT_BYTES] = '\n';
	bool ok = write(fd, text, KEY_TEXT_BYTES + 1) == KEY_TEXT_BYTES + 1 && fsync(fd) == 0;
	ok = close(fd) == 0 && ok;
	tdm_wipe(text, sizeof text);
	return ok ? TDM_OK : tdm_fail(err, TDM_EIO, "%s: the key cannot be written", path);
}

int tdm_signing_key(const char *who, const char *path, uint8_t key[TDM_ED25519_KEY_BYTES], struct tdm_error *err) {
	struct tdm_bytes text;
	if (!path)
		return tdm_fail(err, TDM_EVALUE, "tandem %s: expected --key, the file of the key that signs", who);
	if (access(path, F_OK) != 0)
		return make_key(path, key, err);
	int status = tdm_file_read(path, 4096, &text, err);
	if (!status && text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = 0;
	if (!status && !tdm_unhex(text.data ? text.data : "", key, TDM_ED25519_KEY_BYTES))
		status = tdm_fail(err, TDM_EVALUE, "%s: expected a key of 64 hexadecimal digits", path);
	if (text.data)
		tdm_wipe(text.data, text.len);
	tdm_bytes_release(&text);
	return status;
}

int tdm_signing_identity(struct tdm_arena *arena, const struct tdm_app *app, const struct tdm_model *model,
                         struct tdm_identity *out, struct tdm_error *err) {
	const char *slash = strrchr(app->settings_name, '/');
	const char *folder = slash ? tdm_arena_copy(arena, app->settings_name, (size_t)(slash - app->settings_name)) : ".";
	return tdm_identity_of(arena, model, folder, tdm_embedded, out, err);
}
