/* Jobs that come and go on one machine, and choosing GPUs alone. */

#include "check.h"

static nvtopo_topology *preset(const char *name)
{
    nvtopo_topology *topology = NULL;
    CHECK_OK(nvtopo_topology_preset(name, &topology));
    return topology;
}

static nvtopo_allocator *allocator_of(const char *name)
{
    nvtopo_topology *topology = preset(name);
    nvtopo_allocator *allocator = NULL;
    CHECK_OK(nvtopo_allocator_new(topology, &allocator));
    nvtopo_topology_free(topology); /* The allocator lives on. */
    return allocator;
}

static nvtopo_request *request_of(size_t gpus, const char *constraints)
{
    nvtopo_request *request = NULL;
    CHECK_OK(nvtopo_request_new(gpus, &request));
    if (constraints) CHECK_OK(nvtopo_request_require(request, constraints));
    return request;
}

static uint64_t available(const nvtopo_allocator *allocator)
{
    nvtopo_gpu_set gpus = {0, 0};
    CHECK_OK(nvtopo_allocator_available(allocator, &gpus));
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
    nvtopo_allocator *allocator = allocator_of("dgx-1-v100");
    nvtopo_request *pair = request_of(2, NULL), *large = request_of(7, NULL);
    nvtopo_placement *placement = NULL;
    uint64_t job = 99, other = 99, listed = 99;
    size_t count = 99;

    CHECK(available(allocator) == 0xff);
    CHECK_OK(nvtopo_allocator_place(allocator, pair, &job));
    CHECK(available(allocator) == (0xff & ~0x9));
    CHECK_OK(nvtopo_allocator_placement(allocator, job, &placement));
    CHECK(first_gpu(placement) == 0);
    nvtopo_placement_free(placement);

    CHECK_OK(nvtopo_allocator_what_if(allocator, pair, &placement));
    CHECK(first_gpu(placement) == 1);
    nvtopo_placement_free(placement);
    placement = NULL;
    CHECK(available(allocator) == (0xff & ~0x9));

    CHECK_FAILS(nvtopo_allocator_place(allocator, large, &other), NVTOPO_STATUS_UNSATISFIABLE, "7 GPUs");
    CHECK(other == 99);
    CHECK_OK(nvtopo_allocator_place(allocator, pair, &other));
    CHECK(other != job);
    CHECK_OK(nvtopo_allocator_release(allocator, job));
    CHECK_FAILS(nvtopo_allocator_release(allocator, job), NVTOPO_STATUS_INVALID_REQUEST, "job 0");
    CHECK_FAILS(nvtopo_allocator_placement(allocator, job, &placement), NVTOPO_STATUS_INVALID_REQUEST, "job 0");
    CHECK(placement == NULL);
    CHECK_OK(nvtopo_allocator_job_count(allocator, &count));
    CHECK(count == 1);
    CHECK_OK(nvtopo_allocator_job(allocator, 0, &listed));
    CHECK(listed == other);
    CHECK_FAILS(nvtopo_allocator_job(allocator, 1, &listed), NVTOPO_STATUS_INVALID_REQUEST, "there are 1");

    nvtopo_request_free(large);
    nvtopo_request_free(pair);
    nvtopo_allocator_free(allocator);
    nvtopo_allocator_free(NULL);
}

static void many_jobs_at_once(void)
{
    nvtopo_allocator *allocator = allocator_of("dgx-1-v100");
    nvtopo_request *pair = request_of(2, NULL), *four = request_of(4, NULL);
    const nvtopo_request *requests[4];
    uint64_t jobs[4] = {99, 99, 99, 99};
    nvtopo_batch batch = {-1, false};
    nvtopo_room room = {99, false};

    requests[0] = pair;
    requests[1] = pair;
    requests[2] = four;
    requests[3] = pair;
    CHECK_FAILS(nvtopo_allocator_place_all(allocator, requests, 4, jobs, &batch), NVTOPO_STATUS_UNSATISFIABLE, "");
    CHECK(available(allocator) == 0xff && jobs[0] == 99 && batch.share < 0);
    CHECK_NULL(nvtopo_allocator_place_all(allocator, requests, 3, NULL, &batch), "jobs");
    CHECK_NULL(nvtopo_allocator_place_all(allocator, NULL, 3, jobs, &batch), "requests");
    requests[3] = NULL;
    CHECK_NULL(nvtopo_allocator_place_all(allocator, requests, 4, jobs, &batch), "requests");
    CHECK(available(allocator) == 0xff);

    CHECK_OK(nvtopo_allocator_room_for(allocator, pair, &room));
    CHECK(room.jobs == 4 && room.is_certain);
    CHECK_OK(nvtopo_allocator_place_all(allocator, requests, 3, jobs, &batch));
    CHECK(batch.share == 1.0 && batch.is_optimal && available(allocator) == 0);
    CHECK(jobs[0] != jobs[1] && jobs[1] != jobs[2] && jobs[3] == 99);
    CHECK_OK(nvtopo_allocator_room_for(allocator, pair, &room));
    CHECK(room.jobs == 0 && room.is_certain);
    CHECK_OK(nvtopo_allocator_place_all(allocator, NULL, 0, NULL, &batch));
    CHECK(batch.share == 1.0);

    nvtopo_request_free(four);
    nvtopo_request_free(pair);
    nvtopo_allocator_free(allocator);
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
    CHECK_OK(nvtopo_chooser_new(topology, NULL, NULL, &other)); /* As "" and "": the defaults. */
    CHECK_OK(nvtopo_chooser_choose(other, free_gpus, 2, &chosen));
    CHECK(chosen.low == 0x6);
    nvtopo_chooser_free(other);
    other = NULL;
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
    nvtopo_allocator *allocator = NULL;
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
    CHECK_OK(nvtopo_allocator_new(topology, &allocator));
    CHECK_OK(nvtopo_allocator_available(allocator, &set));
    CHECK(set.low == UINT64_MAX && set.high == 0x3f);
    nvtopo_allocator_free(allocator);
    nvtopo_topology_free(topology);
}

static void a_scheduler_starts_again(void)
{
    nvtopo_topology *topology = preset("dgx-1-v100"), *other = preset("gh200");
    nvtopo_allocator *allocator = allocator_of("dgx-1-v100"), *again = NULL;
    nvtopo_request *pair = request_of(2, NULL);
    nvtopo_placement *before = NULL, *after = NULL;
    const nvtopo_cpuset *cpus = NULL, *same = NULL;
    const char *json = NULL, *last = NULL;
    uint64_t first = 99, second = 99, next = 99;
    bool equal = false;

    CHECK_OK(nvtopo_allocator_place(allocator, pair, &first));
    CHECK_OK(nvtopo_allocator_place(allocator, pair, &second));
    CHECK_OK(nvtopo_allocator_release(allocator, first));
    CHECK_OK(nvtopo_allocator_save(allocator, &json));
    CHECK_OK(nvtopo_allocator_restore(topology, json, strlen(json), &again));
    CHECK(available(again) == available(allocator));
    CHECK_OK(nvtopo_allocator_placement(allocator, second, &before));
    CHECK_OK(nvtopo_allocator_placement(again, second, &after));
    CHECK(first_gpu(before) == first_gpu(after));
    CHECK_OK(nvtopo_placement_cpus(before, 0, &cpus));
    CHECK_OK(nvtopo_placement_cpus(after, 0, &same));
    CHECK_OK(nvtopo_cpuset_is_equal(cpus, same, &equal));
    CHECK(equal);
    nvtopo_placement_free(before);
    nvtopo_placement_free(after);
    CHECK_OK(nvtopo_allocator_save(again, &last));
    CHECK_TEXT(last, json);
    /* No number is given twice. */
    CHECK_OK(nvtopo_allocator_place(again, pair, &next));
    CHECK(next == second + 1);
    CHECK_OK(nvtopo_allocator_release(again, second));
    nvtopo_allocator_free(again);
    again = NULL;

    CHECK_FAILS(nvtopo_allocator_restore(topology, "{", 1, &again), NVTOPO_STATUS_INVALID_INPUT, "no state of an allocator");
    CHECK_FAILS(nvtopo_allocator_restore(topology, "\xff", 1, &again), NVTOPO_STATUS_INVALID_INPUT, "UTF-8");
    CHECK_FAILS(nvtopo_allocator_restore(other, json, strlen(json), &again), NVTOPO_STATUS_INVALID_INPUT, "GPU");
    CHECK_NULL(nvtopo_allocator_restore(NULL, json, strlen(json), &again), "topology");
    CHECK_NULL(nvtopo_allocator_restore(topology, NULL, 1, &again), "json");
    CHECK_NULL(nvtopo_allocator_restore(topology, json, strlen(json), NULL), "allocator");
    CHECK_NULL(nvtopo_allocator_save(NULL, &json), "allocator");
    CHECK_NULL(nvtopo_allocator_save(allocator, NULL), "json");
    CHECK(again == NULL);
    nvtopo_request_free(pair);
    nvtopo_allocator_free(allocator);
    nvtopo_topology_free(other);
    nvtopo_topology_free(topology);
}

static void misuse_is_an_error(void)
{
    nvtopo_topology *topology = preset("gh200");
    nvtopo_allocator *allocator = allocator_of("gh200"), *none = NULL;
    nvtopo_request *request = request_of(1, NULL);
    nvtopo_placement *placement = NULL;
    nvtopo_gpu_set gpus = {7, 7};
    nvtopo_batch batch = {7, false};
    nvtopo_room room = {7, false};
    uint64_t job = 7;
    size_t count = 7;

    CHECK_NULL(nvtopo_allocator_new(NULL, &none), "topology");
    CHECK_NULL(nvtopo_allocator_new(topology, NULL), "allocator");
    CHECK_NULL(nvtopo_allocator_place(NULL, request, &job), "allocator");
    CHECK_NULL(nvtopo_allocator_place(allocator, NULL, &job), "request");
    CHECK_NULL(nvtopo_allocator_place(allocator, request, NULL), "job");
    CHECK_NULL(nvtopo_allocator_place_all(NULL, NULL, 0, NULL, &batch), "allocator");
    CHECK_NULL(nvtopo_allocator_place_all(allocator, NULL, 0, NULL, NULL), "batch");
    CHECK_NULL(nvtopo_allocator_what_if(NULL, request, &placement), "allocator");
    CHECK_NULL(nvtopo_allocator_what_if(allocator, NULL, &placement), "request");
    CHECK_NULL(nvtopo_allocator_what_if(allocator, request, NULL), "placement");
    CHECK_NULL(nvtopo_allocator_placement(NULL, 0, &placement), "allocator");
    CHECK_NULL(nvtopo_allocator_release(NULL, 0), "allocator");
    CHECK_NULL(nvtopo_allocator_available(NULL, &gpus), "allocator");
    CHECK_NULL(nvtopo_allocator_job_count(NULL, &count), "allocator");
    CHECK_NULL(nvtopo_allocator_job(NULL, 0, &job), "allocator");
    CHECK_NULL(nvtopo_allocator_room_for(NULL, request, &room), "allocator");
    CHECK_NULL(nvtopo_allocator_room_for(allocator, NULL, &room), "request");
    CHECK(none == NULL && placement == NULL && gpus.low == 7 && batch.share == 7 && room.jobs == 7);
    CHECK(job == 7 && count == 7);
    nvtopo_request_free(request);
    nvtopo_allocator_free(allocator);
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
    a_scheduler_starts_again();
    misuse_is_an_error();
    return 0;
}
