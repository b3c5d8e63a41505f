/* Snapshots: this machine is written to a file and read again. */

#include "check.h"

#include <unistd.h>

int main(void)
{
    char path[64];
    nvtopo_topology *topology = NULL;
    const char *json = NULL;
    FILE *file;

    snprintf(path, sizeof path, "/tmp/nvtopo-capi-%ld.tar.gz", (long)getpid());
    CHECK_NULL(nvtopo_snapshot_write(NULL, false), "path");
    CHECK_FAILS(nvtopo_snapshot_write("/no/such/folder/file", true), NVTOPO_STATUS_IO, "/no/such/folder/file");
    CHECK_OK(nvtopo_snapshot_write(path, false));
    CHECK_OK(nvtopo_snapshot_write(path, true));
    CHECK_OK(nvtopo_topology_open(path, &topology));
    CHECK_OK(nvtopo_topology_to_json(topology, &json));
    CHECK(strstr(json, "\"pu\"") != NULL);
    nvtopo_topology_free(topology);
    topology = NULL;

    file = fopen(path, "r+b");
    CHECK(file != NULL && fseek(file, 100, SEEK_SET) == 0 && fwrite("damage", 1, 6, file) == 6);
    CHECK(fclose(file) == 0);
    CHECK_FAILS(nvtopo_topology_open(path, &topology), NVTOPO_STATUS_INVALID_INPUT, path);
    CHECK(topology == NULL);
    CHECK(remove(path) == 0);
    return 0;
}
