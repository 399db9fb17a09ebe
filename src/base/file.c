// Files: whole-file reading, atomic writing. Mapping is in mapping.c.
//
// The rule kept here: a reader of a file that this program writes sees the old content or the new one, also after
// a power cut; so the new file and its folder are synced before the write counts as done.
#include "base/file.h"
#include "base/random.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int tdm_file_opened(int fd, const char *path, struct stat *info, struct tdm_error *err) {
	if (fd < 0)
		return tdm_fail(err, TDM_EIO, "%s: cannot open the file: %m", path);
	int status = TDM_OK;
	if (fstat(fd, info) != 0)
		status = tdm_fail(err, TDM_EIO, "%s: cannot read the file's size: %m", path);
	else if (S_ISDIR(info->st_mode))
		status = tdm_fail(err, TDM_EIO, "%s: is a folder, expected a file", path);
	if (status != TDM_OK)
		close(fd);
	return status;
}

// Reads to the end and not to the size told by stat: files under /proc and pipes have none.
static int read_all(int fd, const char *path, struct tdm_bytes *out, struct tdm_error *err) {
	char part[16384];
	for (;;) {
		ssize_t got = read(fd, part, sizeof part);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return tdm_fail(err, TDM_EIO, "%s: cannot read the file: %m", path);
		if (got == 0)
			return TDM_OK;
		tdm_bytes_add(out, part, (size_t)got);
		if (out->failed && (size_t)got > out->limit - out->len)
			return tdm_fail(err, TDM_EFORMAT, "%s: the file is larger than %zu bytes", path, out->limit);
		if (out->failed)
			return tdm_fail(err, TDM_ENOMEM, "%s: no memory to read the file", path);
	}
}

int tdm_file_read(const char *path, size_t limit, struct tdm_bytes *out, struct tdm_error *err) {
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat info;
	tdm_bytes_init(out, limit);
	int status = tdm_file_opened(fd, path, &info, err);
	if (status != TDM_OK)
		return status;
	tdm_bytes_add(out, "", 0); // data is not NULL for an empty file
	status = read_all(fd, path, out, err);
	close(fd);
	if (status != TDM_OK)
		tdm_bytes_release(out);
	return status;
}

// The name of a file is safe on disk only when its folder is. Some file systems cannot sync a folder: no failure.
static void sync_folder(const char *path) {
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		(void)!fsync(fd);
		close(fd);
	}
	free(folder);
}

static char *temporary_name(const char *path) {
	char id[TDM_ID_BYTES], *name;
	tdm_make_id(id, ".new-");
	return asprintf(&name, "%s%s", path, id) < 0 ? NULL : name;
}

int tdm_output_open(struct tdm_output *o, const char *path, struct tdm_error *err) {
	struct stat old;
	*o = (struct tdm_output){.path = path, .name = temporary_name(path), .fd = -1};
	if (!o->name)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory to write the file", path);
	bool exists = stat(path, &old) == 0;
	int status = TDM_OK;
	if (exists && S_ISDIR(old.st_mode))
		status = tdm_fail(err, TDM_EIO, "%s: is a folder, expected a file", path);
	else if (exists && !S_ISREG(old.st_mode)) // a new file would take the place of the device
		status = tdm_fail(err, TDM_EIO, "%s: is no regular file, expected one", path);
	else if ((o->fd = open(o->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) < 0)
		status = tdm_fail(err, TDM_EIO, "%s: cannot create a file beside it: %m", path);
	if (status != TDM_OK) {
		free(o->name);
		o->name = NULL;
	} else if (exists && S_ISREG(old.st_mode)) {
		(void)!fchmod(o->fd, old.st_mode & 07777);
	}
	return status;
}

int tdm_output_write(struct tdm_output *o, const void *data, size_t n, struct tdm_error *err) {
	const char *from = data;
	while (n) {
		ssize_t put = write(o->fd, from, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return tdm_fail(err, TDM_EIO, "%s: cannot write the file: %m", o->path);
		from += put;
		n -= (size_t)put;
	}
	return TDM_OK;
}

static void end_output(struct tdm_output *o, bool keep) {
	if (!o->name)
		return;
	if (o->fd >= 0)
		close(o->fd);
	if (!keep)
		unlink(o->name);
	free(o->name);
	o->name = NULL;
	o->fd = -1;
}

int tdm_output_commit(struct tdm_output *o, struct tdm_error *err) {
	int status = TDM_OK;
	if (fsync(o->fd) != 0)
		status = tdm_fail(err, TDM_EIO, "%s: cannot write the file: %m", o->path);
	int fd = o->fd;
	o->fd = -1;
	if (close(fd) != 0 && status == TDM_OK)
		status = tdm_fail(err, TDM_EIO, "%s: cannot write the file: %m", o->path);
	if (status == TDM_OK && rename(o->name, o->path) != 0)
		status = tdm_fail(err, TDM_EIO, "%s: cannot replace the file: %m", o->path);
	if (status == TDM_OK)
		sync_folder(o->path);
	end_output(o, status == TDM_OK);
	return status;
}

void tdm_output_drop(struct tdm_output *o) {
	end_output(o, false);
}

int tdm_file_write(const char *path, const void *data, size_t n, struct tdm_error *err) {
	struct tdm_output o;
	int status = tdm_output_open(&o, path, err);
	if (status != TDM_OK)
		return status;
	status = tdm_output_write(&o, data, n, err);
	if (status == TDM_OK)
		status = tdm_output_commit(&o, err);
	else
		tdm_output_drop(&o);
	return status;
}
