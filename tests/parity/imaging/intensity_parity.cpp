#include "medseg/imaging/window.h"

#include "parity/imaging/fixture.h"

namespace medseg::parity {
namespace {

template <typename Map>
void compareBytes(const Entry& entry, const Map& scaleOf) {
    const auto image = volumeOf<std::int16_t>(entry.input(0));
    Volume<std::uint8_t> bytes(image.geometry());
    scaleToBytes(image.voxels(), scaleOf(image.voxels()), bytes.voxels());
    expectNear(bytes, entry.output("result"), entry.tolerance());
}

const Registration window("window", [](const Entry& entry) {
    const std::string to = entry.params().at("to");
    const bool truncates = to == "uint8 truncation";
    ASSERT_TRUE(truncates || to == "uint8 round half to even") << to;
    compareBytes(entry, [&](auto) {
        return windowScale({entry.params().at("level"), entry.params().at("width")},
                           truncates ? ByteRounding::Truncate : ByteRounding::HalfEven);
    });
});

const Registration resonance("medsam_mr_normalise", [](const Entry& entry) {
    const auto image = volumeOf<std::int16_t>(entry.input(0));
    const auto wanted = entry.params().at("percentiles").get<std::vector<double>>();
    const ByteScale scale = medsamMrScale(std::span<const std::int16_t>(image.voxels()), wanted.at(0), wanted.at(1));
    EXPECT_NEAR(scale.clipLow, entry.expected().at("lower"), 1e-9);
    EXPECT_NEAR(scale.clipHigh, entry.expected().at("upper"), 1e-9);
    const auto floats = volumeOf<float>(entry.input(0));
    for (const auto& [percent, value] : entry.expected().at("percentiles_all_voxels").items()) {
        const std::vector<double> one{std::stod(percent)};
        EXPECT_NEAR(percentiles(std::span<const std::int16_t>(image.voxels()), std::span<const double>(one))[0], value,
                    1e-9);
        EXPECT_NEAR(percentiles(std::span<const float>(floats.voxels()), std::span<const double>(one))[0], value, 1e-9);
    }
    compareBytes(entry, [&](auto) { return scale; });
});

const Registration zscore("zscore", [](const Entry& entry) {
    const auto image = volumeOf<std::int16_t>(entry.input(0));
    const auto [mean, std] = meanAndStd(std::span<const std::int16_t>(image.voxels()));
    EXPECT_NEAR(mean, entry.expected().at("mean"), 1e-9);
    EXPECT_NEAR(std, entry.expected().at("std"), 1e-9);
    Volume<float> out(image.geometry());
    zScore(std::span<const std::int16_t>(image.voxels()), out.voxels(), entry.params().at("eps").get<double>());
    expectNear(out, entry.output("result"), entry.tolerance());
});

const Registration nnunet("nnunet_ct_normalise", [](const Entry& entry) {
    const auto image = volumeOf<std::int16_t>(entry.input(0));
    const auto& params = entry.params();
    Volume<float> out(image.geometry());
    normalizeCt(std::span<const std::int16_t>(image.voxels()),
                {params.at("percentile_00_5"), params.at("percentile_99_5"), params.at("mean"), params.at("std")},
                out.voxels());
    expectNear(out, entry.output("result"), entry.tolerance());
});

}  // namespace
}  // namespace medseg::parity
