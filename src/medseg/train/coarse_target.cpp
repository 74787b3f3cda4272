#include "medseg/train/coarse_target.h"

#include <algorithm>

#include "medseg/imaging/resize_opencv.h"

namespace medseg {

torch::Tensor coarseMask(const std::vector<std::uint8_t>& mask, std::int64_t rows, std::int64_t columns,
                         std::int64_t side) {
    std::vector<float> covered(mask.begin(), mask.end());
    torch::Tensor coarse = torch::empty({1, side, side});
    resizeOpenCv({covered.data(), columns, rows, 1}, OpenCvResize::Area,
                 PixelView<float>{coarse.data_ptr<float>(), side, side, 1});
    const double fullest = coarse.max().item<double>();
    if (fullest <= 0) return coarse;
    return coarse.ge(std::min(0.5, fullest)).to(torch::kFloat);
}

torch::Tensor coarseLabels(const torch::Tensor& labels, std::int64_t step) {
    torch::Tensor coarse = labels;
    for (std::int64_t axis = 2; axis < labels.dim(); ++axis) coarse = coarse.slice(axis, step / 2, c10::nullopt, step);
    return coarse.contiguous();
}

}  // namespace medseg
