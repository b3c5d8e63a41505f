/* Where a new instance of a divided GPU should lie. */

#include "check.h"

#define H100(index)                                                                                                        \
    "{\"gpu\":{\"parent\":0,\"index\":" index ",\"model\":\"NVIDIA H100\",\"memory_bytes\":85520809984,"                      \
    "\"mig\":{\"current\":true,\"pending\":true}}},"

/* Two divided GPUs; on the second an instance lies in the middle. */
static const char DIVIDED[] =
    "{\"format\":\"nvtopo-topology\",\"version\":1,\"topology\":{\"source\":\"nvml\",\"nvlink_known\":true,\"nodes\":["
    "{\"machine\":{}}," H100("3") H100("4")
    "{\"gpu_instance\":{\"parent\":2,\"profile\":\"1g.10gb\",\"placement\":{\"start\":4,\"size\":1}}}]}}";

/* One of which nobody says how much memory it has. */
static const char NAMELESS[] =
    "{\"format\":\"nvtopo-topology\",\"version\":1,\"topology\":{\"source\":\"nvml\",\"nvlink_known\":true,\"nodes\":["
    "{\"machine\":{}},{\"gpu\":{\"parent\":0,\"index\":0,\"model\":\"NVIDIA H100\",\"mig\":{\"current\":true,\"pending\":true}}}]}}";

static void an_instance_is_placed(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_instance_placement place;

    CHECK_OK(nvtopo_topology_parse("mig.json", DIVIDED, strlen(DIVIDED), &topology));
    CHECK_OK(nvtopo_topology_place_instance(topology, "1g.10gb", NULL, &place));
    CHECK(place.device == 1 && place.index == 4);
    CHECK(place.slices == 1 && place.start == 6 && place.size == 1);
    CHECK_TEXT(place.profile, "1g.10gb");
    CHECK_OK(nvtopo_topology_place_instance(topology, "1", "GPU3", &place));
    CHECK(place.device == 0 && place.index == 3);
    CHECK_OK(nvtopo_topology_place_instance(topology, "7g", "3,4", &place));
    CHECK(place.device == 0 && place.slices == 7 && place.start == 0 && place.size == 8);
    CHECK_TEXT(place.profile, "7g.80gb");
    nvtopo_topology_free(topology);
}

static void what_cannot_be_is_refused(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_instance_placement place;

    place.index = 77;
    CHECK_OK(nvtopo_topology_parse("mig.json", DIVIDED, strlen(DIVIDED), &topology));
    CHECK_FAILS(nvtopo_topology_place_instance(topology, "7", "4", &place), NVTOPO_STATUS_UNSATISFIABLE, "room for 7g");
    CHECK_FAILS(nvtopo_topology_place_instance(topology, "1g.5gb", NULL, &place), NVTOPO_STATUS_INVALID_REQUEST, "1g.10gb");
    CHECK_FAILS(nvtopo_topology_place_instance(topology, "half", NULL, &place), NVTOPO_STATUS_INVALID_REQUEST, "'half'");
    CHECK_FAILS(nvtopo_topology_place_instance(topology, "1", "9", &place), NVTOPO_STATUS_INVALID_REQUEST, "GPU9");
    CHECK_NULL(nvtopo_topology_place_instance(NULL, "1", NULL, &place), "topology");
    CHECK_NULL(nvtopo_topology_place_instance(topology, NULL, NULL, &place), "size");
    CHECK(nvtopo_topology_place_instance(topology, "1", "", &place) != NVTOPO_STATUS_OK); /* Of no GPU. */
    CHECK_NULL(nvtopo_topology_place_instance(topology, "1", NULL, NULL), "placement");
    CHECK(place.index == 77);
    nvtopo_topology_free(topology);

    CHECK_OK(nvtopo_topology_parse("mig.json", NAMELESS, strlen(NAMELESS), &topology));
    CHECK_OK(nvtopo_topology_place_instance(topology, "3", NULL, &place));
    CHECK_TEXT(place.profile, "");
    CHECK_FAILS(nvtopo_topology_place_instance(topology, "3g.40gb", NULL, &place), NVTOPO_STATUS_INVALID_REQUEST, "not known");
    nvtopo_topology_free(topology);
}

int main(void)
{
    an_instance_is_placed();
    what_cannot_be_is_refused();
    return 0;
}
