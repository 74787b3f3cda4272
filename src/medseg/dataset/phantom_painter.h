// Turns a synthetic patient into voxels.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "medseg/base/random.h"
#include "medseg/dataset/phantom_anatomy.h"

namespace medseg::phantom {

class Warp;

/// Paints the layers of a patient in order. Keeps references to the patient and the geometry.
class Painter {
  public:
    /// `random` draws the patient's low-frequency deformation. The geometry must be axis-aligned (RAS); it and the
    /// patient must outlive the painter.
    Painter(const Patient& patient, const Geometry& geometry, Random random);
    ~Painter();

    /// Names of the label ids that paintSlice writes; element 0 is background.
    const std::vector<std::string>& names() const { return names_; }

    /// Hounsfield units without noise, and labels, of slice z: nx * ny values each. Thread-safe.
    void paintSlice(std::int64_t z, float* hu, std::uint8_t* labels) const;

  private:
    struct Buffers;
    /// What painting needs to know of a layer, looked up once.
    struct PreparedLayer {
        const Layer* layer = nullptr;
        Bounds reach;
        std::uint8_t id = 0;           ///< of its label; 0 background
        std::array<bool, 256> over{};  ///< labels it may paint over
        bool everywhere = true;
    };

    void prepare(const Layer& layer);
    std::uint8_t idOf(const std::string& name);
    Row locateRow(std::int64_t y, std::int64_t z, Buffers& buffers) const;
    void paintRow(std::int64_t y, std::int64_t z, float* hu, std::uint8_t* labels, Buffers& buffers) const;
    void paintLayer(const PreparedLayer& prepared, const Row& row, float* hu, std::uint8_t* labels,
                    const Tissue** tissue, float* distance) const;
    float texture(const Tissue& tissue, const Row& row, std::int64_t i) const;

    const Patient& patient_;
    const Geometry& geometry_;
    std::array<std::array<double, 4>, 3> toPatient_;
    std::vector<float> worldX_;
    std::unique_ptr<Warp> warp_;
    std::vector<std::string> names_;
    std::vector<PreparedLayer> layers_;
    float edge_ = 1;  ///< width over which a surface's partial volume spreads, mm
};

}  // namespace medseg::phantom
