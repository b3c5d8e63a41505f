/* Which rank of a parallel job uses which GPU. */

#include "check.h"

static nvtopo_topology *dgx1(void)
{
    nvtopo_topology *topology = NULL;
    CHECK_OK(nvtopo_topology_preset("dgx-1-v100", &topology));
    return topology;
}

static void ranks_are_mapped(void)
{
    static const uint32_t expected[] = {0, 3, 1, 2, 4, 7, 5, 6};
    nvtopo_topology *topology = dgx1();
    nvtopo_parallel_job *job = NULL;
    nvtopo_rank_map *map = NULL;
    nvtopo_rank_times times = {0, 0, 0, 0, false};
    nvtopo_variable variable = {NULL, NULL};
    const char *json = NULL;
    uint32_t gpu = 99;
    size_t count = 99, rank;

    CHECK_OK(nvtopo_parallel_job_new(&job));
    CHECK_OK(nvtopo_parallel_job_size(job, "tp", 2));
    CHECK_OK(nvtopo_parallel_job_size(job, "data", 4));
    CHECK_FAILS(nvtopo_topology_map_ranks(topology, job, NULL, 0, &map), NVTOPO_STATUS_INVALID_REQUEST, "tp");
    CHECK_OK(nvtopo_parallel_job_model(job, "layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B"));
    CHECK_OK(nvtopo_topology_map_ranks(topology, job, NULL, 0, &map));
    nvtopo_parallel_job_free(job);
    nvtopo_topology_free(topology); /* The mapping lives on. */

    CHECK_OK(nvtopo_rank_map_rank_count(map, &count));
    CHECK(count == 8);
    for (rank = 0; rank < count; rank++) {
        CHECK_OK(nvtopo_rank_map_gpu(map, rank, &gpu));
        CHECK(gpu == expected[rank]);
    }
    CHECK_FAILS(nvtopo_rank_map_gpu(map, 8, &gpu), NVTOPO_STATUS_INVALID_REQUEST, "rank 8");
    CHECK_OK(nvtopo_rank_map_times(map, &times));
    CHECK(times.is_optimal && times.gain > 1 && times.seconds < times.launcher_seconds);
    CHECK(times.bound_seconds <= times.seconds);
    CHECK_OK(nvtopo_rank_map_variable_count(map, &count));
    CHECK(count == 2);
    CHECK_OK(nvtopo_rank_map_variable(map, 1, &variable));
    CHECK_TEXT(variable.name, "CUDA_VISIBLE_DEVICES");
    CHECK_TEXT(variable.value, "0,3,1,2,4,7,5,6");
    CHECK_FAILS(nvtopo_rank_map_variable(map, 2, &variable), NVTOPO_STATUS_INVALID_REQUEST, "variable 2");
    CHECK_OK(nvtopo_rank_map_to_json(map, &json));
    CHECK(strstr(json, "\"gpu_of_rank\"") != NULL && strstr(json, "\"dimensions\"") != NULL);
    CHECK_NULL(nvtopo_rank_map_to_json(NULL, &json), "map");
    nvtopo_rank_map_free(map);
}

static void the_order_and_the_gpus_are_given(void)
{
    static const uint32_t gpus[] = {3, 2, 1, 0}, one[] = {77};
    nvtopo_topology *topology = dgx1();
    nvtopo_parallel_job *job = NULL;
    nvtopo_rank_map *map = NULL;
    size_t count = 0;

    CHECK_OK(nvtopo_parallel_job_new(&job));
    CHECK_OK(nvtopo_parallel_job_size(job, "model", 2));
    CHECK_OK(nvtopo_parallel_job_size(job, "dp", 2));
    CHECK_OK(nvtopo_parallel_job_traffic(job, "model=1GB"));
    CHECK_OK(nvtopo_parallel_job_traffic(job, "data=0"));
    CHECK_OK(nvtopo_parallel_job_order(job, "pipe,data,model"));
    CHECK_OK(nvtopo_topology_map_ranks(topology, job, gpus, 4, &map));
    CHECK_OK(nvtopo_rank_map_rank_count(map, &count));
    CHECK(count == 4);
    nvtopo_rank_map_free(map);
    map = NULL;

    CHECK_FAILS(nvtopo_topology_map_ranks(topology, job, NULL, 0, &map), NVTOPO_STATUS_UNSATISFIABLE, "4 GPUs");
    CHECK_FAILS(nvtopo_topology_map_ranks(topology, job, one, 1, &map), NVTOPO_STATUS_INVALID_REQUEST, "77");
    CHECK_FAILS(nvtopo_parallel_job_size(job, "rows", 2), NVTOPO_STATUS_INVALID_REQUEST, "rows");
    CHECK_FAILS(nvtopo_parallel_job_size(job, "edp", 2), NVTOPO_STATUS_INVALID_REQUEST, "edp");
    CHECK_FAILS(nvtopo_parallel_job_order(job, "tp-tp"), NVTOPO_STATUS_INVALID_REQUEST, "twice");
    CHECK_FAILS(nvtopo_parallel_job_traffic(job, "much"), NVTOPO_STATUS_INVALID_REQUEST, "much");
    CHECK_FAILS(nvtopo_parallel_job_model(job, "layers"), NVTOPO_STATUS_INVALID_REQUEST, "layers");
    CHECK_NULL(nvtopo_topology_map_ranks(topology, job, NULL, 4, &map), "gpus");
    CHECK_NULL(nvtopo_topology_map_ranks(NULL, job, gpus, 4, &map), "topology");
    CHECK_NULL(nvtopo_topology_map_ranks(topology, NULL, gpus, 4, &map), "job");
    CHECK_NULL(nvtopo_topology_map_ranks(topology, job, gpus, 4, NULL), "map");
    CHECK_NULL(nvtopo_parallel_job_new(NULL), "job");
    CHECK_NULL(nvtopo_parallel_job_size(NULL, "tp", 2), "job");
    CHECK_NULL(nvtopo_rank_map_times(NULL, NULL), "times");
    CHECK(map == NULL);
    nvtopo_parallel_job_free(job);
    nvtopo_parallel_job_free(NULL);
    nvtopo_rank_map_free(NULL);
    nvtopo_topology_free(topology);
}

int main(void)
{
    ranks_are_mapped();
    the_order_and_the_gpus_are_given();
    return 0;
}
