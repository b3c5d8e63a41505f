/*
 * Chooses GPUs for a job and prints them with the CPUs, memory and NICs beside each.
 *
 *     sh scripts/install-c.sh "$HOME/.local" && export PKG_CONFIG_PATH="$HOME/.local/lib/pkgconfig"
 *     cc examples/c/place.c $(pkg-config --cflags --libs nvtopo) -Wl,-rpath,"$HOME/.local/lib" -o place
 *     ./place 4                       of this machine
 *     ./place 4 preset:dgx-h100       of a product
 *     ./place 4 topo.txt              of a machine whose `nvidia-smi topo -m` is in a file
 */

#include <nvtopo.h>

#include <stdio.h>
#include <stdlib.h>

/* Each function gives the first status that is not NVTOPO_STATUS_OK. */
#define TRY(call)                                                                              \
    do {                                                                                       \
        nvtopo_status status_ = (call);                                                        \
        if (status_ != NVTOPO_STATUS_OK) return status_;                                       \
    } while (0)

static nvtopo_status print_gpu(const nvtopo_placement *placement, size_t i)
{
    const nvtopo_cpuset *cpus = NULL;
    const char *list = NULL, *mems = NULL, *nic = NULL;
    uint32_t index = 0;
    size_t nics = 0, n;

    TRY(nvtopo_placement_gpu(placement, i, &index));
    TRY(nvtopo_placement_cpus(placement, i, &cpus));
    TRY(nvtopo_cpuset_to_list(cpus, &list));
    TRY(nvtopo_placement_mems(placement, i, &mems));
    TRY(nvtopo_placement_nic_count(placement, i, &nics));
    printf("GPU%u: CPUs %s, memory of node %s, NICs", (unsigned)index, list, mems ? mems : "unknown");
    for (n = 0; n < nics; n++) {
        TRY(nvtopo_placement_nic(placement, i, n, &nic));
        printf(" %s", nic);
    }
    printf("%s\n", nics ? "" : " unknown");
    return NVTOPO_STATUS_OK;
}

static nvtopo_status print_placement(const nvtopo_placement *placement)
{
    const char *why = NULL;
    size_t gpus = 0, i;

    TRY(nvtopo_placement_gpu_count(placement, &gpus));
    for (i = 0; i < gpus; i++) TRY(print_gpu(placement, i));
    TRY(nvtopo_placement_why(placement, &why));
    printf("%s\n", why);
    return NVTOPO_STATUS_OK;
}

/* Whatever fails, what was made until then is freed: freeing NULL does nothing. */
static nvtopo_status place(size_t gpus, const char *source)
{
    nvtopo_topology *topology = NULL;
    nvtopo_request *request = NULL;
    nvtopo_placement *placement = NULL;
    nvtopo_status status = nvtopo_topology_open(source, &topology);

    if (status == NVTOPO_STATUS_OK) status = nvtopo_request_new(gpus, &request);
    if (status == NVTOPO_STATUS_OK) status = nvtopo_topology_place(topology, request, &placement);
    if (status == NVTOPO_STATUS_OK) status = print_placement(placement);
    nvtopo_placement_free(placement);
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
    return status;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    unsigned long gpus = argc > 1 ? strtoul(argv[1], &end, 10) : 0;
    nvtopo_status status;

    if (argc < 2 || argc > 3 || *argv[1] == '\0' || *end != '\0') {
        fprintf(stderr, "usage: %s GPUS [SOURCE]\n", argv[0]);
        return 2;
    }
    status = place(gpus, argc > 2 ? argv[2] : "live");
    if (status == NVTOPO_STATUS_OK) return 0;
    fprintf(stderr, "%s: %s\n", argv[0], nvtopo_last_error_message());
    return status == NVTOPO_STATUS_UNSATISFIABLE ? 1 : 2;
}
