// Library: see library.h. RTLD_LOCAL: the names of one library hide no other's.
#include "base/library.h"
#include <dlfcn.h>
#include <string.h>

static int fill(struct tdm_library *l, struct tdm_error *err) {
	void *first, *handle, **at = (void **)(l + 1);
	memcpy(&first, at, sizeof first);
	if (first) // TDM_LINKED
		return TDM_OK;
	handle = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return tdm_fail(err, TDM_EINTERNAL, "%s is needed for these settings and cannot be loaded: %s", l->file,
		                dlerror());
	for (size_t i = 0; l->names[i]; i++) {
		void *address = dlsym(handle, l->names[i]);
		if (!address) {
			memset(at, 0, i * sizeof *at);
			return tdm_fail(err, TDM_EINTERNAL, "%s has no %s: it is another version than the one this was built with",
			                l->file, l->names[i]);
		}
		memcpy(at + i, &address, sizeof address);
	}
	return TDM_OK;
}

int tdm_library_load(struct tdm_library *library, struct tdm_error *err) {
	int status = TDM_OK;
	pthread_mutex_lock(&library->lock);
	if (!library->is_loaded)
		status = fill(library, err);
	library->is_loaded = !status;
	pthread_mutex_unlock(&library->lock);
	return status;
}
