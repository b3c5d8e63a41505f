// Package nvtopo decides GetPreferredAllocation for a device plugin of Kubernetes, through libnvtopo.
//
// It stands where NVIDIA's plugin calls go-gpuallocator's best-effort policy: open the topology once, when the plugin
// starts, and ask PreferredAllocation for each container request.
package nvtopo

/*
#cgo pkg-config: nvtopo
#include <nvtopo.h>
#include <stdlib.h>
*/
import "C"

import (
	"errors"
	"runtime"
	"unsafe"
)

// Topology is a machine. Any number of goroutines may use it at once.
type Topology struct {
	handle *C.nvtopo_topology
}

// Open reads a machine: "live", "preset:NAME", or a file.
func Open(source string) (*Topology, error) {
	name := C.CString(source)
	defer C.free(unsafe.Pointer(name))
	topology := &Topology{}
	err := call(func() C.nvtopo_status { return C.nvtopo_topology_open(name, &topology.handle) })
	if err != nil {
		return nil, err
	}
	runtime.SetFinalizer(topology, func(topology *Topology) { C.nvtopo_topology_free(topology.handle) })
	return topology, nil
}

// PreferredAllocation returns the devices that a container should get: size of the available ones, with all of
// mustInclude. A GPU that failed, or that the topology does not know, is no error: it is chosen last.
func (topology *Topology) PreferredAllocation(available, mustInclude []string, size int) ([]string, error) {
	if size < 0 {
		return nil, errors.New("the size is negative")
	}
	names, freeNames := texts(available)
	defer freeNames()
	must, freeMust := texts(mustInclude)
	defer freeMust()
	// One element more, so that there is a first one.
	positions := make([]C.uint64_t, size+1)
	err := call(func() C.nvtopo_status {
		return C.nvtopo_topology_preferred_allocation(
			topology.handle, names, C.size_t(len(available)), must, C.size_t(len(mustInclude)), C.size_t(size), &positions[0])
	})
	runtime.KeepAlive(topology)
	if err != nil {
		return nil, err
	}
	chosen := make([]string, size)
	for i := range chosen {
		chosen[i] = available[positions[i]]
	}
	return chosen, nil
}

// call turns a status into an error. The last error belongs to the thread, which the goroutine must not leave.
func call(function func() C.nvtopo_status) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if function() == C.NVTOPO_STATUS_OK {
		return nil
	}
	return errors.New(C.GoString(C.nvtopo_last_error_message()))
}

// texts copies texts to C, and returns what frees them.
func texts(list []string) (**C.char, func()) {
	if len(list) == 0 {
		return nil, func() {}
	}
	size := C.size_t(len(list)) * C.size_t(unsafe.Sizeof((*C.char)(nil)))
	array := (**C.char)(C.malloc(size))
	all := unsafe.Slice(array, len(list))
	for i, text := range list {
		all[i] = C.CString(text)
	}
	return array, func() {
		for _, text := range all {
			C.free(unsafe.Pointer(text))
		}
		C.free(unsafe.Pointer(array))
	}
}
