/*
 * The NIC for a GPU: which ones are nearest, over which path, and which one to use where all GPUs communicate at once.
 *
 *     cc examples/c/nic.c $(pkg-config --cflags --libs nvtopo) -Wl,-rpath,"$HOME/.local/lib" -o nic
 *     ./nic 3                              GPU3 of this machine; a UUID or a PCI address will do too
 *     ./nic GPU3 preset:dgx-h100           of a product
 *     ./nic 3 topo.txt                     of a machine whose `nvidia-smi topo -m` is in a file
 */

#include <nvtopo.h>

#include <stdio.h>

#define TRY(call)                                                                              \
    do {                                                                                       \
        nvtopo_status status_ = (call);                                                        \
        if (status_ != NVTOPO_STATUS_OK) return status_;                                       \
    } while (0)

static nvtopo_status print_nics(nvtopo_topology **topology, const char *gpu, const char *source)
{
    nvtopo_pair pair;
    const char *name = NULL;
    size_t device = 0, count = 0, nic = 0, i;
    int64_t own = -1;

    TRY(nvtopo_topology_open(source, topology));
    TRY(nvtopo_topology_find_gpu(*topology, gpu, &device));
    TRY(nvtopo_topology_nearest_nic_count(*topology, device, &count));
    TRY(nvtopo_topology_own_nic(*topology, device, &own));
    for (i = 0; i < count; i++) {
        TRY(nvtopo_topology_nearest_nic(*topology, device, i, &nic));
        TRY(nvtopo_topology_device_name(*topology, nic, &name));
        TRY(nvtopo_topology_pair(*topology, device, nic, &pair));
        printf("%s over %s%s\n", name, nvtopo_path_name(pair.path), own == (int64_t)nic ? ", to use" : "");
    }
    if (count == 0) printf("no NIC is known to be near\n");
    return NVTOPO_STATUS_OK;
}

int main(int argc, char **argv)
{
    nvtopo_topology *topology = NULL;
    nvtopo_status status;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s GPU [SOURCE]\n", argv[0]);
        return 2;
    }
    status = print_nics(&topology, argv[1], argc > 2 ? argv[2] : "live");
    if (status != NVTOPO_STATUS_OK) fprintf(stderr, "%s: %s\n", argv[0], nvtopo_last_error_message());
    nvtopo_topology_free(topology);
    return status == NVTOPO_STATUS_OK ? 0 : 1;
}
