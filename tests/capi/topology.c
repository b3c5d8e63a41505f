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

/* A GPU that is divided, and one that is lost. */
static const char GPUS[] =
    "{\"format\":\"nvtopo-topology\",\"version\":1,\"topology\":{\"source\":\"nvml\",\"nvlink_known\":true,\"nodes\":["
    "{\"machine\":{}},"
    "{\"gpu\":{\"parent\":0,\"index\":2,\"minor\":5,\"memory_bytes\":85899345920,"
    "\"uuid\":\"GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab\",\"address\":\"0000:1b:00.0\"}},"
    "{\"gpu_instance\":{\"parent\":1,\"uuid\":\"MIG-c6d4f1ef\",\"profile\":\"3g.40gb\",\"memory_bytes\":42}},"
    "{\"gpu_instance\":{\"parent\":1}},"
    "{\"gpu\":{\"parent\":0,\"index\":3,\"unusable\":\"has fallen off the bus\",\"fabric\":{\"state\":\"completed\","
    "\"health\":1449}}}]}}";

static void gpus_are_asked(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_request *request = NULL;
    nvtopo_placement *placement = NULL;
    const char *text = NULL;
    uint32_t index = 0;
    uint64_t bytes = 1;
    int64_t minor = 0;
    size_t count = 7;

    CHECK_OK(nvtopo_topology_parse("gpus.json", GPUS, strlen(GPUS), &topology));
    CHECK_OK(nvtopo_topology_gpu_index(topology, 1, &index));
    CHECK(index == 3);
    CHECK_OK(nvtopo_topology_gpu_minor(topology, 0, &minor));
    CHECK(minor == 5);
    CHECK_OK(nvtopo_topology_gpu_minor(topology, 1, &minor));
    CHECK(minor == -1);
    CHECK_OK(nvtopo_topology_gpu_memory(topology, 0, &bytes));
    CHECK(bytes == 85899345920u);
    CHECK_OK(nvtopo_topology_gpu_memory(topology, 1, &bytes));
    CHECK(bytes == 0);
    CHECK_OK(nvtopo_topology_gpu_uuid(topology, 0, &text));
    CHECK_TEXT(text, "GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab");
    CHECK_OK(nvtopo_topology_gpu_uuid(topology, 1, &text));
    CHECK(text == NULL);
    CHECK_OK(nvtopo_topology_gpu_address(topology, 0, &text));
    CHECK_TEXT(text, "0000:1b:00.0");
    CHECK_OK(nvtopo_topology_gpu_unusable(topology, 0, &text));
    CHECK(text == NULL);
    CHECK_OK(nvtopo_topology_gpu_unusable(topology, 1, &text));
    CHECK_TEXT(text, "has fallen off the bus");
    CHECK_OK(nvtopo_topology_gpu_faults(topology, 0, &text));
    CHECK(text == NULL);
    CHECK_OK(nvtopo_topology_gpu_faults(topology, 1, &text));
    CHECK_TEXT(text, "degraded-bandwidth,insufficient-nvlinks");
    CHECK_OK(nvtopo_topology_instance_count(topology, 1, &count));
    CHECK(count == 0);
    CHECK_OK(nvtopo_topology_instance_count(topology, 0, &count));
    CHECK(count == 2);
    CHECK_OK(nvtopo_topology_instance_uuid(topology, 0, 0, &text));
    CHECK_TEXT(text, "MIG-c6d4f1ef");
    CHECK_OK(nvtopo_topology_instance_uuid(topology, 0, 1, &text));
    CHECK(text == NULL);
    CHECK_OK(nvtopo_topology_instance_profile(topology, 0, 0, &text));
    CHECK_TEXT(text, "3g.40gb");
    CHECK_OK(nvtopo_topology_instance_memory(topology, 0, 0, &bytes));
    CHECK(bytes == 42);

    CHECK_FAILS(nvtopo_topology_gpu_uuid(topology, 2, &text), NVTOPO_STATUS_INVALID_REQUEST, "GPU 2");
    CHECK_FAILS(nvtopo_topology_instance_uuid(topology, 0, 2, &text), NVTOPO_STATUS_INVALID_REQUEST, "instance 2");
    CHECK_NULL(nvtopo_topology_gpu_uuid(NULL, 0, &text), "topology");
    CHECK_NULL(nvtopo_topology_gpu_index(topology, 0, NULL), "index");
    CHECK_NULL(nvtopo_topology_instance_count(topology, 0, NULL), "count");

    /* The lost one is never chosen. */
    CHECK_OK(nvtopo_request_new(2, &request));
    CHECK_FAILS(nvtopo_topology_place(topology, request, &placement), NVTOPO_STATUS_UNSATISFIABLE, "fallen off");
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
}

/* A link of which the hardware reports more than its generation has. */
static const char REPORTED[] =
    "{\"format\":\"nvtopo-topology\",\"version\":1,\"topology\":{\"source\":\"nvml\",\"nvlink_known\":true,\"nodes\":["
    "{\"machine\":{}},{\"gpu\":{\"parent\":0,\"index\":0}},{\"gpu\":{\"parent\":0,\"index\":1}}],"
    "\"links\":[{\"between\":[1,2],\"kind\":\"nvlink\",\"lanes\":1,\"rate\":{\"mb_per_s\":25000,\"basis\":\"nominal\"},"
    "\"reported_mb_per_s\":26562}]}}";

static void reported_rates_are_taken(void)
{
    nvtopo_topology *topology = NULL, *reported = NULL;
    nvtopo_pair pair;

    CHECK_OK(nvtopo_topology_parse("r.json", REPORTED, strlen(REPORTED), &topology));
    CHECK_OK(nvtopo_topology_with_reported_rates(topology, &reported));
    CHECK_OK(nvtopo_topology_pair(topology, 0, 1, &pair));
    CHECK(pair.mb_per_s == 25000 && pair.basis == NVTOPO_BASIS_NOMINAL);
    nvtopo_topology_free(topology);
    CHECK_OK(nvtopo_topology_pair(reported, 0, 1, &pair));
    CHECK(pair.mb_per_s == 26562 && pair.basis == NVTOPO_BASIS_REPORTED);
    CHECK_NULL(nvtopo_topology_with_reported_rates(NULL, &topology), "topology");
    CHECK_NULL(nvtopo_topology_with_reported_rates(reported, NULL), "reported");
    nvtopo_topology_free(reported);
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
    gpus_are_asked();
    reported_rates_are_taken();
    misuse_is_an_error();
    return 0;
}
