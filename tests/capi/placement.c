/* Requests and placements: what is asked, what is chosen, and what cannot be. */

#include "check.h"

static nvtopo_topology *preset(const char *name)
{
    nvtopo_topology *topology = NULL;
    CHECK_OK(nvtopo_topology_preset(name, &topology));
    return topology;
}

static nvtopo_request *request_of(size_t gpus)
{
    nvtopo_request *request = NULL;
    CHECK_OK(nvtopo_request_new(gpus, &request));
    return request;
}

/* The chosen indices as a text, such as "4 5 6 7". */
static void check_gpus(const nvtopo_placement *placement, const char *expected)
{
    char text[256] = "";
    size_t count = 0, i, length = 0;
    uint32_t index = 0;
    CHECK_OK(nvtopo_placement_gpu_count(placement, &count));
    for (i = 0; i < count; i++) {
        CHECK_OK(nvtopo_placement_gpu(placement, i, &index));
        length += (size_t)snprintf(text + length, sizeof text - length, i ? " %u" : "%u", (unsigned)index);
    }
    CHECK_TEXT(text, expected);
}

static void a_placement_says_what_belongs_to_each_gpu(void)
{
    nvtopo_topology *topology = preset("dgx-h100");
    nvtopo_request *request = request_of(2);
    nvtopo_placement *placement = NULL;
    const nvtopo_cpuset *cpus = NULL;
    const char *text = NULL;
    nvtopo_path path = NVTOPO_PATH_UNKNOWN;
    nvtopo_variable variable;
    size_t count = 0, device = 99, i;
    bool optimal = false, visible = false;

    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    nvtopo_request_free(request);
    nvtopo_topology_free(topology); /* The placement lives on. */

    check_gpus(placement, "0 1");
    CHECK_OK(nvtopo_placement_device(placement, 1, &device));
    CHECK(device == 1);
    CHECK_OK(nvtopo_placement_cpus(placement, 0, &cpus));
    CHECK_OK(nvtopo_cpuset_to_list(cpus, &text));
    CHECK_TEXT(text, "0-13,112-125");
    CHECK_OK(nvtopo_placement_mems(placement, 0, &text));
    CHECK_TEXT(text, "0");
    CHECK_OK(nvtopo_placement_nic_count(placement, 0, &count));
    CHECK(count == 1);
    CHECK_OK(nvtopo_placement_nic(placement, 0, 0, &text));
    CHECK_TEXT(text, "mlx5_0");
    CHECK_OK(nvtopo_placement_own_nic(placement, 1, &text));
    CHECK_TEXT(text, "mlx5_3");
    /* Nothing was preferred. */
    CHECK_OK(nvtopo_placement_preference(placement, &text));
    CHECK(text == NULL);
    CHECK_OK(nvtopo_placement_nic_path(placement, 0, &path));
    CHECK(path == NVTOPO_PATH_PIX);
    CHECK_OK(nvtopo_placement_is_optimal(placement, &optimal));
    CHECK(optimal);
    CHECK_OK(nvtopo_placement_why(placement, &text));
    CHECK(strstr(text, "GPU0") != NULL);

    CHECK_OK(nvtopo_placement_variable_count(placement, &count));
    for (i = 0; i < count; i++) {
        CHECK_OK(nvtopo_placement_variable(placement, i, &variable));
        if (strcmp(variable.name, "CUDA_VISIBLE_DEVICES") == 0) {
            CHECK_TEXT(variable.value, "0,1");
            visible = true;
        }
    }
    CHECK(visible);
    nvtopo_placement_free(placement);
}

static void a_placement_says_how_good_it_is(void)
{
    nvtopo_topology *topology = preset("dgx-1-v100");
    nvtopo_request *request = request_of(4);
    nvtopo_placement *placement = NULL;
    nvtopo_score score;
    const char *text = NULL;
    size_t count = 0, i;

    CHECK_OK(nvtopo_request_objectives(request, "pair-sum, min-pair"));
    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    CHECK_OK(nvtopo_placement_score_count(placement, &count));
    CHECK(count >= 2);
    CHECK_OK(nvtopo_placement_score(placement, 0, &score));
    CHECK_TEXT(score.objective, "pair-sum");
    CHECK_TEXT(score.unit, "GB/s");
    CHECK(score.known && score.value > 0);
    /* Proven: no set is better than this one. */
    CHECK(score.bounded && score.bound == score.value);
    CHECK_OK(nvtopo_placement_score(placement, 1, &score));
    CHECK_TEXT(score.objective, "min-pair");
    CHECK_FAILS(nvtopo_placement_score(placement, count, &score), NVTOPO_STATUS_INVALID_REQUEST, "score");
    CHECK_OK(nvtopo_placement_remark_count(placement, &count));
    for (i = 0; i < count; i++) {
        CHECK_OK(nvtopo_placement_remark(placement, i, &text));
        CHECK(text[0] != '\0');
    }
    nvtopo_placement_free(placement);
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
}

static void what_a_job_needs_beside_its_gpus_is_given(void)
{
    nvtopo_topology *topology = preset("dgx-h100");
    nvtopo_request *request = request_of(2);
    nvtopo_placement *placement = NULL;
    const nvtopo_cpuset *cpus = NULL;
    const char *text = NULL;
    uint64_t bytes = 99, pages = 99;
    size_t count = 0;

    CHECK_OK(nvtopo_request_cpus_per_gpu(request, 8));
    CHECK_OK(nvtopo_request_memory_per_gpu(request, (uint64_t)600 << 30));
    CHECK_OK(nvtopo_request_hugepages_per_gpu(request, 2 << 20, 16));
    CHECK_OK(nvtopo_request_gpus_per_nic(request, 1));
    CHECK_FAILS(nvtopo_request_allowed_sets(request, "0,1\n\n0,x\n"), NVTOPO_STATUS_INVALID_REQUEST, "allowed sets:3");
    CHECK_FAILS(nvtopo_request_allowed_sets(request, "# none\n"), NVTOPO_STATUS_INVALID_INPUT, "no set");
    CHECK_NULL(nvtopo_request_allowed_sets(request, NULL), "table");
    CHECK_NULL(nvtopo_request_only_free(NULL), "request");
    CHECK_NULL(nvtopo_request_allowed_sets(NULL, "0\n"), "request");
    CHECK_OK(nvtopo_request_allowed_sets(request, "0,1\n0,4\n"));
    CHECK_OK(nvtopo_request_free_memory(request, (uint64_t)20 << 30));
    CHECK_FAILS(nvtopo_topology_place(topology, request, &placement), NVTOPO_STATUS_UNSATISFIABLE,
                "how much of its memory is unused is unknown");
    CHECK_OK(nvtopo_request_free_memory(request, 0));
    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    check_gpus(placement, "0 4"); /* One half has memory for one of them. */
    CHECK_OK(nvtopo_placement_cpus(placement, 0, &cpus));
    CHECK_OK(nvtopo_cpuset_to_list(cpus, &text));
    CHECK_TEXT(text, "0-3,112-115");
    CHECK_OK(nvtopo_placement_memory(placement, 1, 1, &bytes));
    CHECK(bytes == (uint64_t)600 << 30);
    CHECK_OK(nvtopo_placement_memory(placement, 1, 0, &bytes));
    CHECK(bytes == 0);
    CHECK_OK(nvtopo_placement_huge_pages(placement, 0, 0, 2 << 20, &pages));
    CHECK(pages == 0); /* Nobody knows of any, and a remark says so. */
    CHECK_OK(nvtopo_placement_remark_count(placement, &count));
    CHECK(count == 2);
    CHECK_FAILS(nvtopo_placement_memory(placement, 2, 0, &bytes), NVTOPO_STATUS_INVALID_REQUEST, "chosen GPU");
    nvtopo_placement_free(placement);
    placement = NULL;

    CHECK_OK(nvtopo_request_cpus_per_gpu(request, 113));
    CHECK_FAILS(nvtopo_topology_place(topology, request, &placement), NVTOPO_STATUS_UNSATISFIABLE, "112 CPUs");
    CHECK_NULL(nvtopo_request_memory_per_gpu(NULL, 1), "request");
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
}

static void huge_pages_are_told_by_node_and_size(void)
{
    static const char text[] =
        "{\"format\":\"nvtopo-topology\",\"version\":1,\"topology\":{\"source\":\"sysfs\","
        "\"nvlink_known\":false,\"nodes\":[{\"machine\":{}},"
        "{\"numa_node\":{\"parent\":0,\"os_index\":0,\"cpus\":\"0-3\",\"huge_pages\":["
        "{\"size_bytes\":2097152,\"total\":64,\"free\":64},{\"size_bytes\":1073741824,\"total\":4,\"free\":4}]}},"
        "{\"numa_node\":{\"parent\":0,\"os_index\":1,\"cpus\":\"4-7\",\"huge_pages\":["
        "{\"size_bytes\":2097152,\"total\":32,\"free\":32}]}},"
        "{\"gpu\":{\"parent\":1,\"index\":0}},{\"gpu\":{\"parent\":2,\"index\":1}}],\"links\":[],\"notes\":[]}}";
    static const uint64_t small = 2 << 20, large = 1 << 30;
    nvtopo_topology *topology = NULL;
    nvtopo_request *request = request_of(2);
    nvtopo_placement *placement = NULL;
    uint64_t pages = 99;

    CHECK_OK(nvtopo_topology_parse("machine.json", text, strlen(text), &topology));
    CHECK_OK(nvtopo_request_hugepages_per_gpu(request, small, 16));
    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    check_gpus(placement, "0 1");
    CHECK_OK(nvtopo_placement_huge_pages(placement, 0, 0, small, &pages));
    CHECK(pages == 16);
    CHECK_OK(nvtopo_placement_huge_pages(placement, 1, 1, small, &pages));
    CHECK(pages == 16);
    CHECK_OK(nvtopo_placement_huge_pages(placement, 0, 1, small, &pages));
    CHECK(pages == 0); /* Another node. */
    CHECK_OK(nvtopo_placement_huge_pages(placement, 0, 0, large, &pages));
    CHECK(pages == 0); /* Another size. */
    nvtopo_placement_free(placement);
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
}

static void what_cannot_be_had_is_told(void)
{
    nvtopo_topology *topology = preset("rtx-a6000-4-bridged");
    nvtopo_request *request = request_of(4);
    nvtopo_placement *placement = NULL;
    const char *text = NULL;
    size_t count = 0;

    CHECK_FAILS(nvtopo_request_require(request, "rack"), NVTOPO_STATUS_INVALID_REQUEST, "at-least");
    CHECK_FAILS(nvtopo_request_mix(request, "often"), NVTOPO_STATUS_INVALID_REQUEST, "1:.5");
    CHECK_OK(nvtopo_request_mix(request, "1:.5,2:.5"));
    CHECK_OK(nvtopo_request_prefer(request, "nvlink-group,numa-node"));
    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    CHECK_OK(nvtopo_placement_unmet_count(placement, &count));
    CHECK(count >= 1);
    CHECK_OK(nvtopo_placement_unmet(placement, 0, &text));
    CHECK(strstr(text, "nvlink-group") != NULL && strstr(text, "at most 2") != NULL);
    CHECK_FAILS(nvtopo_placement_unmet(placement, count, &text), NVTOPO_STATUS_INVALID_REQUEST, "preference");
    CHECK_OK(nvtopo_placement_preference(placement, &text));
    CHECK_TEXT(text, "numa-node");
    /* The machine has no NIC. */
    text = "";
    CHECK_OK(nvtopo_placement_own_nic(placement, 0, &text));
    CHECK(text == NULL);
    nvtopo_placement_free(placement);
    placement = NULL;

    CHECK_OK(nvtopo_request_require(request, "at-least:50"));
    CHECK_FAILS(nvtopo_topology_place(topology, request, &placement), NVTOPO_STATUS_UNSATISFIABLE, "at most 2");
    CHECK(placement == NULL);
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
}

/* Places `request`, checks the chosen indices, and frees the request. */
static void chooses(const nvtopo_topology *topology, nvtopo_request *request, const char *expected)
{
    nvtopo_placement *placement = NULL;
    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    check_gpus(placement, expected);
    nvtopo_placement_free(placement);
    nvtopo_request_free(request);
}

static void requests_limit_the_choice(void)
{
    static const uint32_t zero[] = {0}, upper[] = {4, 5, 6, 7}, last[] = {7};
    nvtopo_topology *topology = preset("dgx-1-v100");
    nvtopo_request *request = request_of(4);

    CHECK_OK(nvtopo_request_exclude(request, zero, 1));
    chooses(topology, request, "4 5 6 7");
    request = request_of(4);
    CHECK_OK(nvtopo_request_exclude_named(request, "GPU0"));
    chooses(topology, request, "4 5 6 7");
    request = request_of(4);
    CHECK_OK(nvtopo_request_only(request, upper, 4));
    chooses(topology, request, "4 5 6 7");
    request = request_of(2);
    CHECK_OK(nvtopo_request_only_named(request, "GPU2,3"));
    CHECK_OK(nvtopo_request_exclude(request, NULL, 0));
    chooses(topology, request, "2 3");
    request = request_of(1);
    CHECK_OK(nvtopo_request_include(request, last, 1));
    chooses(topology, request, "7");
    request = request_of(1);
    CHECK_OK(nvtopo_request_include_named(request, "6"));
    chooses(topology, request, "6");
    nvtopo_topology_free(topology);
}

static void cpus_and_measured_rates_are_limited(void)
{
    nvtopo_topology *topology = preset("dgx-h100");
    nvtopo_request *request = request_of(1);
    nvtopo_placement *placement = NULL;
    nvtopo_cpuset *allowed = NULL, *reserved = NULL;
    const nvtopo_cpuset *cpus = NULL;
    bool first = true, second = false;

    CHECK_NULL(nvtopo_request_tolerance(NULL, 0.05), "request");
    CHECK_FAILS(nvtopo_request_tolerance(request, 1.0), NVTOPO_STATUS_INVALID_REQUEST, "tolerance");
    CHECK_OK(nvtopo_request_tolerance(request, 0.0));
    CHECK_OK(nvtopo_cpuset_parse("0-55", &allowed));
    CHECK_OK(nvtopo_cpuset_parse("0", &reserved));
    CHECK_OK(nvtopo_request_allow_cpus(request, allowed));
    CHECK_OK(nvtopo_request_reserve_cpus(request, reserved));
    CHECK_OK(nvtopo_request_isolated(request, "use"));
    CHECK_FAILS(nvtopo_request_isolated(request, "some"), NVTOPO_STATUS_INVALID_REQUEST, "avoid");
    CHECK_OK(nvtopo_request_cores(request, "all"));
    CHECK_FAILS(nvtopo_request_cores(request, "slow"), NVTOPO_STATUS_INVALID_REQUEST, "fast");
    nvtopo_cpuset_free(allowed); /* The request has copies. */
    nvtopo_cpuset_free(reserved);
    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    CHECK_OK(nvtopo_placement_cpus(placement, 0, &cpus));
    CHECK_OK(nvtopo_cpuset_contains(cpus, 0, &first));
    CHECK_OK(nvtopo_cpuset_contains(cpus, 1, &second));
    CHECK(!first && second);
    nvtopo_placement_free(placement);
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
}

/* Placing `request` fails; frees it. */
static void refuses(const nvtopo_topology *topology, nvtopo_request *request, nvtopo_status status, const char *words)
{
    nvtopo_placement *placement = NULL;
    CHECK_FAILS(nvtopo_topology_place(topology, request, &placement), status, words);
    CHECK(placement == NULL);
    nvtopo_request_free(request);
}

static void what_cannot_be_is_an_error(void)
{
    static const uint32_t two[] = {2}, ninth[] = {9};
    nvtopo_topology *topology = preset("dgx-h100");
    nvtopo_request *request;

    refuses(topology, request_of(9), NVTOPO_STATUS_UNSATISFIABLE, "9 GPUs");
    refuses(topology, request_of(SIZE_MAX), NVTOPO_STATUS_UNSATISFIABLE, "GPUs");
    refuses(topology, request_of(0), NVTOPO_STATUS_INVALID_REQUEST, "0 GPUs");
    request = request_of(1);
    CHECK_OK(nvtopo_request_only(request, NULL, 0));
    refuses(topology, request, NVTOPO_STATUS_UNSATISFIABLE, "only 0 of 8");
    request = request_of(1);
    CHECK_OK(nvtopo_request_include(request, ninth, 1));
    refuses(topology, request, NVTOPO_STATUS_INVALID_REQUEST, "GPU9");
    request = request_of(1);
    CHECK_OK(nvtopo_request_include(request, two, 1));
    CHECK_OK(nvtopo_request_exclude(request, two, 1));
    refuses(topology, request, NVTOPO_STATUS_INVALID_REQUEST, "both");
    nvtopo_topology_free(topology);
}

static void requests_are_cloned_and_reset(void)
{
    static const uint32_t three[] = {3};
    nvtopo_topology *topology = preset("dgx-1-v100");
    nvtopo_request *request = request_of(2), *clone = NULL;
    nvtopo_placement *placement = NULL;
    const char *json = NULL;

    CHECK_OK(nvtopo_request_exclude(request, three, 1));
    CHECK_OK(nvtopo_request_clone(request, &clone));
    CHECK_OK(nvtopo_request_reset(request, 4));
    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    check_gpus(placement, "0 1 2 3");
    CHECK_OK(nvtopo_placement_to_json(placement, &json));
    CHECK(strstr(json, "\"per_gpu\"") != NULL && strstr(json, "\"optimal\": true") != NULL);
    nvtopo_placement_free(placement);
    nvtopo_request_free(request);
    chooses(topology, clone, "1 2");

    /* The list of none is said, and says nothing, everywhere alike; of allowed GPUs it is none. */
    request = request_of(2);
    CHECK_OK(nvtopo_request_objectives(request, "pair-sum"));
    CHECK_OK(nvtopo_request_objectives(request, ""));
    CHECK_OK(nvtopo_request_mix(request, "2:1"));
    CHECK_OK(nvtopo_request_mix(request, ""));
    CHECK_OK(nvtopo_request_exclude_named(request, ""));
    CHECK_OK(nvtopo_request_include_named(request, ""));
    CHECK_OK(nvtopo_request_require(request, ""));
    CHECK_OK(nvtopo_request_prefer(request, ""));
    chooses(topology, request, "0 3");
    request = request_of(1);
    CHECK_OK(nvtopo_request_only_named(request, ""));
    refuses(topology, request, NVTOPO_STATUS_UNSATISFIABLE, "only 0 of 8");

    request = NULL;
    CHECK_NULL(nvtopo_request_clone(NULL, &request), "request");
    CHECK_NULL(nvtopo_request_reset(NULL, 1), "request");
    CHECK_NULL(nvtopo_placement_to_json(NULL, &json), "placement");
    CHECK(request == NULL);
    nvtopo_topology_free(topology);
}

static void misused_requests_stay_as_they_were(void)
{
    static const uint32_t one[] = {1};
    nvtopo_topology *topology = preset("dgx-h100");
    nvtopo_request *request = request_of(1);

    CHECK_NULL(nvtopo_request_new(1, NULL), "request");
    CHECK_NULL(nvtopo_request_only(NULL, one, 1), "request");
    CHECK_NULL(nvtopo_request_only(request, NULL, 1), "gpus");
    CHECK_NULL(nvtopo_request_only_named(NULL, "1"), "request");
    CHECK_NULL(nvtopo_request_only_named(request, NULL), "gpus");
    CHECK_NULL(nvtopo_request_exclude(request, NULL, 1), "gpus");
    CHECK_NULL(nvtopo_request_exclude_named(request, NULL), "gpus");
    CHECK_NULL(nvtopo_request_include(request, NULL, 1), "gpus");
    CHECK_NULL(nvtopo_request_include_named(request, NULL), "gpus");
    CHECK_NULL(nvtopo_request_objectives(NULL, "min-pair"), "request");
    CHECK_NULL(nvtopo_request_objectives(request, NULL), "names");
    CHECK_NULL(nvtopo_request_allow_cpus(request, NULL), "cpus");
    CHECK_NULL(nvtopo_request_reserve_cpus(request, NULL), "cpus");
    CHECK_NULL(nvtopo_request_isolated(request, NULL), "isolated");
    CHECK_NULL(nvtopo_request_cores(NULL, "all"), "request");
    CHECK_FAILS(nvtopo_request_only(request, one, SIZE_MAX), NVTOPO_STATUS_INVALID_REQUEST, "gpus");
    CHECK_FAILS(nvtopo_request_only_named(request, "1,first"), NVTOPO_STATUS_INVALID_REQUEST, "'first'");
    CHECK_FAILS(nvtopo_request_objectives(request, "beauty"), NVTOPO_STATUS_INVALID_REQUEST, "ring");
    CHECK_FAILS(nvtopo_request_objectives(request, "ring,ring"), NVTOPO_STATUS_INVALID_REQUEST, "twice");
    CHECK_FAILS(nvtopo_request_include_named(request, "\xff"), NVTOPO_STATUS_INVALID_UTF8, "'gpus'");
    CHECK_FAILS(nvtopo_request_objectives(request, "\xff"), NVTOPO_STATUS_INVALID_UTF8, "'names'");
    chooses(topology, request, "0");
    nvtopo_topology_free(topology);
}

static void misused_placements_are_errors(void)
{
    nvtopo_topology *topology = preset("dgx-h100");
    nvtopo_request *request = request_of(1);
    nvtopo_placement *placement = NULL;
    const nvtopo_cpuset *cpus = NULL;
    const char *text = "untouched";
    nvtopo_path path = NVTOPO_PATH_DIS;
    nvtopo_variable variable;
    nvtopo_score score;
    size_t size = 7;
    uint32_t index = 7;
    bool optimal = false;

    CHECK_NULL(nvtopo_topology_place(NULL, request, &placement), "topology");
    CHECK_NULL(nvtopo_topology_place(topology, NULL, &placement), "request");
    CHECK_NULL(nvtopo_topology_place(topology, request, NULL), "placement");
    CHECK_NULL(nvtopo_placement_gpu_count(NULL, &size), "placement");
    CHECK_NULL(nvtopo_placement_gpu(NULL, 0, &index), "placement");
    CHECK_NULL(nvtopo_placement_device(NULL, 0, &size), "placement");
    CHECK_NULL(nvtopo_placement_cpus(NULL, 0, &cpus), "placement");
    CHECK_NULL(nvtopo_placement_mems(NULL, 0, &text), "placement");
    CHECK_NULL(nvtopo_placement_nic_count(NULL, 0, &size), "placement");
    CHECK_NULL(nvtopo_placement_nic(NULL, 0, 0, &text), "placement");
    CHECK_NULL(nvtopo_placement_nic_path(NULL, 0, &path), "placement");
    CHECK_NULL(nvtopo_placement_score_count(NULL, &size), "placement");
    CHECK_NULL(nvtopo_placement_score(NULL, 0, &score), "placement");
    CHECK_NULL(nvtopo_placement_is_optimal(NULL, &optimal), "placement");
    CHECK_NULL(nvtopo_placement_why(NULL, &text), "placement");
    CHECK_NULL(nvtopo_placement_remark_count(NULL, &size), "placement");
    CHECK_NULL(nvtopo_placement_remark(NULL, 0, &text), "placement");
    CHECK_NULL(nvtopo_placement_variable_count(NULL, &size), "placement");
    CHECK_NULL(nvtopo_placement_variable(NULL, 0, &variable), "placement");

    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    CHECK_NULL(nvtopo_placement_gpu(placement, 0, NULL), "index");
    CHECK_FAILS(nvtopo_placement_gpu(placement, 1, &index), NVTOPO_STATUS_INVALID_REQUEST, "chosen GPU 1");
    CHECK_FAILS(nvtopo_placement_cpus(placement, 1, &cpus), NVTOPO_STATUS_INVALID_REQUEST, "chosen GPU 1");
    CHECK_FAILS(nvtopo_placement_nic(placement, 0, 99, &text), NVTOPO_STATUS_INVALID_REQUEST, "NIC 99");
    CHECK_FAILS(nvtopo_placement_remark(placement, 99, &text), NVTOPO_STATUS_INVALID_REQUEST, "remark 99");
    CHECK_FAILS(nvtopo_placement_variable(placement, 99, &variable), NVTOPO_STATUS_INVALID_REQUEST, "variable 99");
    CHECK(cpus == NULL && size == 7 && index == 7 && path == NVTOPO_PATH_DIS && !optimal);
    CHECK_TEXT(text, "untouched");
    nvtopo_placement_free(placement);
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
}

int main(void)
{
    a_placement_says_what_belongs_to_each_gpu();
    a_placement_says_how_good_it_is();
    what_a_job_needs_beside_its_gpus_is_given();
    huge_pages_are_told_by_node_and_size();
    what_cannot_be_had_is_told();
    requests_limit_the_choice();
    cpus_and_measured_rates_are_limited();
    what_cannot_be_is_an_error();
    requests_are_cloned_and_reset();
    misused_requests_stay_as_they_were();
    misused_placements_are_errors();
    return 0;
}
