// Views of volumes and slices as grids of rows for RunComponents.
#pragma once

#include "medseg/imaging/runs.h"
#include "medseg/volume/volume.h"

namespace medseg {

template <typename T>
RowGrid<T> rowGridOf(Volume<T>& volume) {
    return {volume.data(), volume.nx(), volume.ny(), volume.nz(), volume.nx(), volume.nx() * volume.ny()};
}
template <typename T>
RowGrid<const T> rowGridOf(const Volume<T>& volume) {
    return {volume.data(), volume.nx(), volume.ny(), volume.nz(), volume.nx(), volume.nx() * volume.ny()};
}

/// A slice: each row is a plane, so that its rows can be worked on in parallel.
template <typename T>
RowGrid<T> rowGridOf(const SliceView<T>& slice) {
    return {slice.data, slice.width, 1, slice.height, slice.rowStride, slice.rowStride};
}

}  // namespace medseg
