// Integer segmentations and the names of their labels.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "medseg/volume/volume.h"

namespace medseg {

using Color = std::array<std::uint8_t, 3>;

struct Label {
    int id = 0;        ///< voxel value, 1..65535; 0 is always background and never listed
    std::string name;  ///< e.g. "liver"
    Color color{};     ///< sRGB
};

/// Labels in ascending id.
class LabelTable {
  public:
    LabelTable() = default;
    /// ids 1..names.size() with colours from labelColor(). Throws DataError on a repeated name.
    static LabelTable fromNames(const std::vector<std::string>& names);

    /// Throws DataError if the id or the name is taken, or the id is outside 1..65535.
    void add(Label label);
    const std::vector<Label>& labels() const { return labels_; }
    bool empty() const { return labels_.empty(); }
    std::size_t size() const { return labels_.size(); }
    const Label* findId(int id) const;
    const Label* findName(const std::string& name) const;
    /// Name of `id`, or "label_<id>" when the table does not know it.
    std::string nameOf(int id) const;
    Color colorOf(int id) const;

  private:
    std::vector<Label> labels_;
};

/// A colour for label `id`, stable and well separated from its neighbours (golden-angle hues, three lightness levels).
Color labelColor(int id);

/// A segmentation: one label per voxel, 8 bit where all ids fit, else 16 bit.
class LabelMap {
  public:
    LabelMap() = default;
    LabelMap(Volume<std::uint8_t> voxels, LabelTable table = {}) : voxels_(std::move(voxels)), table_(std::move(table)) {}
    LabelMap(Volume<std::uint16_t> voxels, LabelTable table = {}) : voxels_(std::move(voxels)), table_(std::move(table)) {}
    /// From any stored type. Throws DataError (naming `source`) on values that are negative, fractional or above 65535.
    static LabelMap fromAny(const AnyVolume& volume, LabelTable table, const std::string& source);

    /// Calls function(const Volume<uint8_t>&) or function(const Volume<uint16_t>&).
    template <typename Function>
    decltype(auto) visit(Function&& function) const {
        return std::visit(std::forward<Function>(function), voxels_);
    }
    template <typename Function>
    decltype(auto) visit(Function&& function) {
        return std::visit(std::forward<Function>(function), voxels_);
    }
    const Geometry& geometry() const {
        return visit([](const auto& v) -> const Geometry& { return v.geometry(); });
    }
    int at(std::int64_t x, std::int64_t y, std::int64_t z) const {
        return visit([&](const auto& v) { return static_cast<int>(v(x, y, z)); });
    }
    const LabelTable& table() const { return table_; }
    void setTable(LabelTable table) { table_ = std::move(table); }
    /// Voxels per id, index = id, length = largest present id + 1 (at least 1).
    std::vector<std::int64_t> countVoxels() const;

  private:
    std::variant<Volume<std::uint8_t>, Volume<std::uint16_t>> voxels_;
    LabelTable table_;
};

}  // namespace medseg
