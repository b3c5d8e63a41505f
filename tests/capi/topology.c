/* Topologies: opening them in every way, and asking them. */

#include "check.h"

static const char MATRIX[] = "\tGPU0\tGPU1\tNIC0\tCPU Affinity\n"
                             "GPU0\t X \tNV4\tPIX\t0-15\n"
                             "GPU1\tNV4\t X \tSYS\t0-15\n"
                             "NIC0\tPIX\tSYS\t X \n";

static void a_preset_is_asked(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_pair pair;
    const char *name = NULL;
    size_t gpus = 0, nics = 0;

    CHECK_OK(nvtopo_topology_preset("dgx-h100", &topology));
    CHECK_OK(nvtopo_topology_gpu_count(topology, &gpus));
    CHECK_OK(nvtopo_topology_nic_count(topology, &nics));
    CHECK(gpus == 8 && nics >= 8);
    CHECK_OK(nvtopo_topology_device_name(topology, 3, &name));
    CHECK_TEXT(name, "GPU3");
    CHECK_OK(nvtopo_topology_device_name(topology, gpus, &name));
    CHECK_TEXT(name, "mlx5_0");

    CHECK_OK(nvtopo_topology_pair(topology, 0, 7, &pair));
    CHECK(pair.path == NVTOPO_PATH_NVL && pair.nvlinks == 18);
    CHECK(pair.basis == NVTOPO_BASIS_NOMINAL && pair.mb_per_s > 400000 && pair.mb_per_s < 500000);
    CHECK_OK(nvtopo_topology_pair(topology, 0, gpus, &pair));
    CHECK(pair.path == NVTOPO_PATH_PIX && pair.nvlinks == 0);
    CHECK_OK(nvtopo_topology_pair(topology, 2, 2, &pair));
    CHECK(pair.path == NVTOPO_PATH_LOC && pair.basis == NVTOPO_BASIS_UNKNOWN);
    CHECK(NVTOPO_PATH_NVL < NVTOPO_PATH_PIX && NVTOPO_PATH_PIX < NVTOPO_PATH_SYS);
    nvtopo_topology_free(topology);
}

static void a_text_is_read(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_pair pair;
    const char *note = NULL;
    size_t count = 0, index;

    CHECK_OK(nvtopo_topology_parse("topo.txt", MATRIX, sizeof MATRIX - 1, &topology));
    CHECK_OK(nvtopo_topology_pair(topology, 0, 1, &pair));
    CHECK(pair.path == NVTOPO_PATH_NVL && pair.nvlinks == 4);
    CHECK_OK(nvtopo_topology_pair(topology, 1, 2, &pair));
    CHECK(pair.path == NVTOPO_PATH_SYS && pair.nvlinks == 0);
    CHECK_OK(nvtopo_topology_note_count(topology, &count));
    CHECK(count > 0);
    for (index = 0; index < count; index++) {
        CHECK_OK(nvtopo_topology_note(topology, index, &note));
        CHECK(strchr(note, ':') != NULL);
    }
    CHECK_FAILS(nvtopo_topology_note(topology, count, &note), NVTOPO_STATUS_INVALID_REQUEST, "out of range");
    nvtopo_topology_free(topology);
}

static void json_is_written_and_read(void)
{
    nvtopo_topology *written = NULL, *read = NULL;
    const char *json = NULL, *again = NULL;

    CHECK_OK(nvtopo_topology_open("preset:dgx-a100", &written));
    CHECK_OK(nvtopo_topology_to_json(written, &json));
    CHECK_OK(nvtopo_topology_parse("dgx.json", json, strlen(json), &read));
    CHECK_OK(nvtopo_topology_to_json(read, &again));
    CHECK_TEXT(json, again);
    nvtopo_topology_free(written);
    nvtopo_topology_free(read);
}

static void sources_are_opened(void)
{
    static const char *const both[] = {"preset:dgx-h100", "preset:abacus"};
    nvtopo_topology *topology = NULL;
    size_t gpus = 0;
    nvtopo_status status;

    CHECK_OK(nvtopo_topology_open_all(both, 1, &topology));
    CHECK_OK(nvtopo_topology_gpu_count(topology, &gpus));
    CHECK(gpus == 8);
    nvtopo_topology_free(topology);
    topology = NULL;
    CHECK_FAILS(nvtopo_topology_open_all(both, 2, &topology), NVTOPO_STATUS_INVALID_REQUEST, "abacus");

    /* Whatever this machine is: a handle and OK, or neither. */
    status = nvtopo_topology_discover(&topology);
    CHECK((status == NVTOPO_STATUS_OK) == (topology != NULL));
    nvtopo_topology_free(topology);
}

static void misuse_is_an_error(void)
{
    static const char *const holes[] = {"live", NULL};
    static const unsigned char rubbish[] = {0, 255, 0, 254, '\n', 0};
    nvtopo_topology *topology = NULL;
    nvtopo_pair pair;
    const char *text = "untouched";
    size_t count = 7;

    memset(&pair, 1, sizeof pair);
    CHECK_NULL(nvtopo_topology_discover(NULL), "topology");
    CHECK_NULL(nvtopo_topology_open(NULL, &topology), "source");
    CHECK_NULL(nvtopo_topology_open("live", NULL), "topology");
    CHECK_FAILS(nvtopo_topology_open("", &topology), NVTOPO_STATUS_INVALID_REQUEST, "empty");
    CHECK_NULL(nvtopo_topology_open_all(NULL, 1, &topology), "sources");
    CHECK_NULL(nvtopo_topology_open_all(holes, 2, &topology), "sources");
    CHECK_NULL(nvtopo_topology_open_all(holes, 1, NULL), "topology");
    CHECK_NULL(nvtopo_topology_parse(NULL, MATRIX, 1, &topology), "name");
    CHECK_NULL(nvtopo_topology_parse("x", NULL, 1, &topology), "bytes");
    CHECK_NULL(nvtopo_topology_parse("x", MATRIX, 1, NULL), "topology");
    CHECK_FAILS(nvtopo_topology_parse("x", NULL, 0, &topology), NVTOPO_STATUS_INVALID_INPUT, "empty");
    CHECK_FAILS(nvtopo_topology_parse("x", rubbish, sizeof rubbish, &topology), NVTOPO_STATUS_INVALID_INPUT, "x");
    CHECK_NULL(nvtopo_topology_preset(NULL, &topology), "name");
    CHECK_NULL(nvtopo_topology_gpu_count(NULL, &count), "topology");
    CHECK_NULL(nvtopo_topology_nic_count(NULL, &count), "topology");
    CHECK_NULL(nvtopo_topology_note_count(NULL, &count), "topology");
    CHECK_NULL(nvtopo_topology_device_name(NULL, 0, &text), "topology");
    CHECK_NULL(nvtopo_topology_note(NULL, 0, &text), "topology");
    CHECK_NULL(nvtopo_topology_to_json(NULL, &text), "topology");
    CHECK_NULL(nvtopo_topology_pair(NULL, 0, 0, &pair), "topology");

    CHECK(topology == NULL);
    CHECK_OK(nvtopo_topology_preset("gh200", &topology));
    CHECK_NULL(nvtopo_topology_gpu_count(topology, NULL), "count");
    CHECK_NULL(nvtopo_topology_device_name(topology, 0, NULL), "name");
    CHECK_NULL(nvtopo_topology_pair(topology, 0, 0, NULL), "pair");
    CHECK_NULL(nvtopo_topology_to_json(topology, NULL), "json");
    CHECK_FAILS(nvtopo_topology_device_name(topology, SIZE_MAX, &text), NVTOPO_STATUS_INVALID_REQUEST, "device");
    CHECK_FAILS(nvtopo_topology_pair(topology, 0, 9999, &pair), NVTOPO_STATUS_INVALID_REQUEST, "device 9999");
    CHECK(count == 7 && pair.nvlinks == 0x01010101);
    CHECK_TEXT(text, "untouched");
    nvtopo_topology_free(topology);
}

int main(void)
{
    a_preset_is_asked();
    a_text_is_read();
    json_is_written_and_read();
    sources_are_opened();
    misuse_is_an_error();
    return 0;
}
