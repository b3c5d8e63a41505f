package nvtopo

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

func open(t *testing.T, source string) *Topology {
	t.Helper()
	topology, err := Open(source)
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

func TestGroupsStayWhole(t *testing.T) {
	bridged := open(t, "preset:rtx-a6000-4-bridged")
	for _, test := range []struct {
		available, must []string
		size            int
		want            []string
	}{
		{[]string{"0", "2", "3"}, nil, 1, []string{"0"}},
		{[]string{"0", "2", "3"}, nil, 2, []string{"2", "3"}},
		{[]string{"0", "1", "2", "3"}, []string{"3"}, 2, []string{"2", "3"}},
		{[]string{"GPU-gone", "1"}, nil, 1, []string{"1"}},
		{[]string{"0", "1"}, nil, 0, []string{}},
	} {
		got, err := bridged.PreferredAllocation(test.available, test.must, test.size)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%v of %v: %v, %v; want %v", test.size, test.available, got, err, test.want)
		}
	}
}

func TestErrorsAreTold(t *testing.T) {
	if _, err := Open("preset:none"); err == nil || !strings.Contains(err.Error(), "dgx-h100") {
		t.Errorf("%v", err)
	}
	dgx := open(t, "preset:dgx-h100")
	if _, err := dgx.PreferredAllocation([]string{"0"}, nil, 2); err == nil || !strings.Contains(err.Error(), "1 are available") {
		t.Errorf("%v", err)
	}
	if _, err := dgx.PreferredAllocation([]string{"0"}, nil, -1); err == nil {
		t.Error("a negative size was taken")
	}
}

func TestGoroutinesShareATopology(t *testing.T) {
	dgx := open(t, "preset:dgx-1-v100")
	var group sync.WaitGroup
	for range 16 {
		group.Add(1)
		go func() {
			defer group.Done()
			got, err := dgx.PreferredAllocation([]string{"0", "1", "2", "3", "4", "5", "6", "7"}, nil, 4)
			if err != nil || len(got) != 4 {
				t.Errorf("%v, %v", got, err)
			}
		}()
	}
	group.Wait()
}
