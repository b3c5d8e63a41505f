/* Jobs that come and go on one machine, and choosing GPUs alone. */

#include "check.h"

static nvtopo_topology *preset(const char *name)
{
    nvtopo_topology *topology = NULL;
    CHECK_OK(nvtopo_topology_preset(name, &topology));
    return topology;
}

static nvtopo_node *node_of(const char *name)
{
    nvtopo_topology *topology = preset(name);
    nvtopo_node *node = NULL;
    CHECK_OK(nvtopo_node_new(topology, &node));
    nvtopo_topology_free(topology); /* The node lives on. */
    return node;
}

static nvtopo_request *request_of(size_t gpus, const char *constraints)
{
    nvtopo_request *request = NULL;
    CHECK_OK(nvtopo_request_new(gpus, &request));
    if (constraints) CHECK_OK(nvtopo_request_require(request, constraints));
    return request;
}

static uint64_t available(const nvtopo_node *node)
{
    nvtopo_gpu_set gpus = {0, 0};
    CHECK_OK(nvtopo_node_available(node, &gpus));
    CHECK(gpus.high == 0);
    return gpus.low;
}

static uint32_t first_gpu(const nvtopo_placement *placement)
{
    uint32_t index = 99;
    CHECK_OK(nvtopo_placement_gpu(placement, 0, &index));
    return index;
}

static void jobs_come_and_go(void)
{
    nvtopo_node *node = node_of("dgx-1-v100");
    nvtopo_request *pair = request_of(2, NULL), *large = request_of(7, NULL);
    nvtopo_placement *placement = NULL;
    uint64_t job = 99, other = 99, listed = 99;
    size_t count = 99;

    CHECK(available(node) == 0xff);
    CHECK_OK(nvtopo_node_place(node, pair, &job));
    CHECK(available(node) == (0xff & ~0x9));
    CHECK_OK(nvtopo_node_placement(node, job, &placement));
    CHECK(first_gpu(placement) == 0);
    nvtopo_placement_free(placement);

    CHECK_OK(nvtopo_node_what_if(node, pair, &placement));
    CHECK(first_gpu(placement) == 1);
    nvtopo_placement_free(placement);
    placement = NULL;
    CHECK(available(node) == (0xff & ~0x9));

    CHECK_FAILS(nvtopo_node_place(node, large, &other), NVTOPO_STATUS_UNSATISFIABLE, "7 GPUs");
    CHECK(other == 99);
    CHECK_OK(nvtopo_node_place(node, pair, &other));
    CHECK(other != job);
    CHECK_OK(nvtopo_node_release(node, job));
    CHECK_FAILS(nvtopo_node_release(node, job), NVTOPO_STATUS_INVALID_REQUEST, "job 0");
    CHECK_FAILS(nvtopo_node_placement(node, job, &placement), NVTOPO_STATUS_INVALID_REQUEST, "job 0");
    CHECK(placement == NULL);
    CHECK_OK(nvtopo_node_job_count(node, &count));
    CHECK(count == 1);
    CHECK_OK(nvtopo_node_job(node, 0, &listed));
    CHECK(listed == other);
    CHECK_FAILS(nvtopo_node_job(node, 1, &listed), NVTOPO_STATUS_INVALID_REQUEST, "there are 1");

    nvtopo_request_free(large);
    nvtopo_request_free(pair);
    nvtopo_node_free(node);
    nvtopo_node_free(NULL);
}

static void many_jobs_at_once(void)
{
    nvtopo_node *node = node_of("dgx-1-v100");
    nvtopo_request *pair = request_of(2, NULL), *four = request_of(4, NULL);
    const nvtopo_request *requests[4];
    uint64_t jobs[4] = {99, 99, 99, 99};
    nvtopo_batch batch = {-1, false};
    nvtopo_room room = {99, false};

    requests[0] = pair;
    requests[1] = pair;
    requests[2] = four;
    requests[3] = pair;
    CHECK_FAILS(nvtopo_node_place_all(node, requests, 4, jobs, &batch), NVTOPO_STATUS_UNSATISFIABLE, "");
    CHECK(available(node) == 0xff && jobs[0] == 99 && batch.share < 0);
    CHECK_NULL(nvtopo_node_place_all(node, requests, 3, NULL, &batch), "jobs");
    CHECK_NULL(nvtopo_node_place_all(node, NULL, 3, jobs, &batch), "requests");
    requests[3] = NULL;
    CHECK_NULL(nvtopo_node_place_all(node, requests, 4, jobs, &batch), "requests");
    CHECK(available(node) == 0xff);

    CHECK_OK(nvtopo_node_room_for(node, pair, &room));
    CHECK(room.jobs == 4 && room.is_certain);
    CHECK_OK(nvtopo_node_place_all(node, requests, 3, jobs, &batch));
    CHECK(batch.share == 1.0 && batch.is_optimal && available(node) == 0);
    CHECK(jobs[0] != jobs[1] && jobs[1] != jobs[2] && jobs[3] == 99);
    CHECK_OK(nvtopo_node_room_for(node, pair, &room));
    CHECK(room.jobs == 0 && room.is_certain);
    CHECK_OK(nvtopo_node_place_all(node, NULL, 0, NULL, &batch));
    CHECK(batch.share == 1.0);

    nvtopo_request_free(four);
    nvtopo_request_free(pair);
    nvtopo_node_free(node);
}

static void gpus_are_chosen_alone(void)
{
    nvtopo_topology *topology = preset("dgx-1-v100");
    nvtopo_chooser *chooser = NULL, *other = NULL;
    const nvtopo_gpu_set all = {UINT64_MAX, UINT64_MAX};
    nvtopo_gpu_set free_gpus = {0xff, 0}, chosen = {99, 99};

    CHECK_OK(nvtopo_chooser_new(topology, "", "", &chooser));
    CHECK_OK(nvtopo_chooser_choose(chooser, free_gpus, 2, &chosen));
    CHECK(chosen.low == 0x9 && chosen.high == 0);
    free_gpus.low = 0xf6;
    CHECK_OK(nvtopo_chooser_choose(chooser, free_gpus, 2, &chosen));
    CHECK(chosen.low == 0x6);
    CHECK_OK(nvtopo_chooser_choose(chooser, free_gpus, 7, &chosen));
    CHECK(chosen.low == 0 && chosen.high == 0);
    CHECK_OK(nvtopo_chooser_choose(chooser, all, 8, &chosen)); /* Bits of no GPU are not looked at. */
    CHECK(chosen.low == 0xff && chosen.high == 0);

    CHECK_OK(nvtopo_chooser_new(topology, "pair-sum,ring", "2:1", &other));
    CHECK_OK(nvtopo_chooser_choose(other, all, 2, &chosen));
    CHECK(chosen.low != 0);
    nvtopo_chooser_free(other);
    other = NULL;
    CHECK_FAILS(nvtopo_chooser_new(topology, "speed", "", &other), NVTOPO_STATUS_INVALID_REQUEST, "ring");
    CHECK_FAILS(nvtopo_chooser_new(topology, "", "many", &other), NVTOPO_STATUS_INVALID_REQUEST, "many");
    CHECK_NULL(nvtopo_chooser_new(topology, NULL, "", &other), "objectives");
    CHECK_NULL(nvtopo_chooser_new(topology, "", NULL, &other), "sizes");
    CHECK_NULL(nvtopo_chooser_new(NULL, "", "", &other), "topology");
    CHECK_NULL(nvtopo_chooser_new(topology, "", "", NULL), "chooser");
    CHECK_NULL(nvtopo_chooser_choose(NULL, all, 2, &chosen), "chooser");
    CHECK_NULL(nvtopo_chooser_choose(chooser, all, 2, NULL), "chosen");
    CHECK(other == NULL);
    nvtopo_chooser_free(chooser);
    nvtopo_chooser_free(NULL);
    nvtopo_topology_free(topology);
}

static void gpus_beyond_64_are_in_the_high_half(void)
{
    char *text = (char *)malloc(1 << 20);
    size_t length = 0, row, column;
    const size_t gpus = 70;
    nvtopo_topology *topology = NULL;
    nvtopo_node *node = NULL;
    nvtopo_gpu_set set = {0, 0};

    CHECK(text != NULL);
    for (column = 0; column < gpus; column++) length += (size_t)sprintf(text + length, "\tGPU%u", (unsigned)column);
    for (row = 0; row < gpus; row++) {
        length += (size_t)sprintf(text + length, "\nGPU%u", (unsigned)row);
        for (column = 0; column < gpus; column++)
            length += (size_t)sprintf(text + length, row == column ? "\t X " : "\tSYS");
    }
    text[length++] = '\n';
    CHECK_OK(nvtopo_topology_parse("topo.txt", text, length, &topology));
    free(text);
    CHECK_OK(nvtopo_node_new(topology, &node));
    CHECK_OK(nvtopo_node_available(node, &set));
    CHECK(set.low == UINT64_MAX && set.high == 0x3f);
    nvtopo_node_free(node);
    nvtopo_topology_free(topology);
}

static void misuse_is_an_error(void)
{
    nvtopo_topology *topology = preset("gh200");
    nvtopo_node *node = node_of("gh200"), *none = NULL;
    nvtopo_request *request = request_of(1, NULL);
    nvtopo_placement *placement = NULL;
    nvtopo_gpu_set gpus = {7, 7};
    nvtopo_batch batch = {7, false};
    nvtopo_room room = {7, false};
    uint64_t job = 7;
    size_t count = 7;

    CHECK_NULL(nvtopo_node_new(NULL, &none), "topology");
    CHECK_NULL(nvtopo_node_new(topology, NULL), "node");
    CHECK_NULL(nvtopo_node_place(NULL, request, &job), "node");
    CHECK_NULL(nvtopo_node_place(node, NULL, &job), "request");
    CHECK_NULL(nvtopo_node_place(node, request, NULL), "job");
    CHECK_NULL(nvtopo_node_place_all(NULL, NULL, 0, NULL, &batch), "node");
    CHECK_NULL(nvtopo_node_place_all(node, NULL, 0, NULL, NULL), "batch");
    CHECK_NULL(nvtopo_node_what_if(NULL, request, &placement), "node");
    CHECK_NULL(nvtopo_node_what_if(node, NULL, &placement), "request");
    CHECK_NULL(nvtopo_node_what_if(node, request, NULL), "placement");
    CHECK_NULL(nvtopo_node_placement(NULL, 0, &placement), "node");
    CHECK_NULL(nvtopo_node_release(NULL, 0), "node");
    CHECK_NULL(nvtopo_node_available(NULL, &gpus), "node");
    CHECK_NULL(nvtopo_node_job_count(NULL, &count), "node");
    CHECK_NULL(nvtopo_node_job(NULL, 0, &job), "node");
    CHECK_NULL(nvtopo_node_room_for(NULL, request, &room), "node");
    CHECK_NULL(nvtopo_node_room_for(node, NULL, &room), "request");
    CHECK(none == NULL && placement == NULL && gpus.low == 7 && batch.share == 7 && room.jobs == 7);
    CHECK(job == 7 && count == 7);
    nvtopo_request_free(request);
    nvtopo_node_free(node);
    nvtopo_topology_free(topology);
}

static void a_device_plugin_asks(void)
{
    nvtopo_topology *topology = preset("rtx-a6000-4-bridged");
    const char *available[] = {"0", "2", "3", "GPU-gone"}, *must[] = {"3"}, *missing[] = {"1"};
    uint64_t chosen[4] = {9, 9, 9, 9};

    CHECK_OK(nvtopo_topology_preferred_allocation(topology, available, 4, NULL, 0, 1, chosen));
    CHECK(chosen[0] == 0 && chosen[1] == 9); /* GPU0, whose pair is broken. */
    CHECK_OK(nvtopo_topology_preferred_allocation(topology, available, 4, NULL, 0, 2, chosen));
    CHECK(chosen[0] == 1 && chosen[1] == 2); /* The pair that is whole. */
    CHECK_OK(nvtopo_topology_preferred_allocation(topology, available, 4, must, 1, 4, chosen));
    CHECK(chosen[0] == 0 && chosen[1] == 1 && chosen[2] == 2 && chosen[3] == 3);
    CHECK_OK(nvtopo_topology_preferred_allocation(topology, NULL, 0, NULL, 0, 0, NULL));
    chosen[0] = 9;
    CHECK_FAILS(nvtopo_topology_preferred_allocation(topology, available, 4, missing, 1, 2, chosen),
                NVTOPO_STATUS_INVALID_REQUEST, "'1' must be included");
    CHECK_FAILS(nvtopo_topology_preferred_allocation(topology, available, 1, NULL, 0, 2, chosen),
                NVTOPO_STATUS_INVALID_REQUEST, "1 are available");
    CHECK_FAILS(nvtopo_topology_preferred_allocation(topology, available, 4, NULL, 0, 1, NULL),
                NVTOPO_STATUS_NULL_ARGUMENT, "chosen");
    CHECK_FAILS(nvtopo_topology_preferred_allocation(NULL, available, 4, NULL, 0, 1, chosen),
                NVTOPO_STATUS_NULL_ARGUMENT, "topology");
    CHECK(chosen[0] == 9);
    nvtopo_topology_free(topology);
}

int main(void)
{
    jobs_come_and_go();
    many_jobs_at_once();
    gpus_are_chosen_alone();
    gpus_beyond_64_are_in_the_high_half();
    a_device_plugin_asks();
    misuse_is_an_error();
    return 0;
}
