// Bones of the phantom: spine, ribs, sternum, shoulder girdle, pelvis.
#include <algorithm>
#include <array>
#include <cmath>

#include "medseg/dataset/phantom_anatomy.h"

namespace medseg::phantom {
namespace {

struct Level {
    const char* name;
    double z;
};

constexpr std::array kLevels{
    Level{"L5", -205}, Level{"L4", -171}, Level{"L3", -137}, Level{"L2", -104}, Level{"L1", -72}, Level{"T12", -43},
    Level{"T11", -16}, Level{"T10", 10},  Level{"T9", 35},   Level{"T8", 59},   Level{"T7", 82},  Level{"T6", 104},
    Level{"T5", 126},  Level{"T4", 147},  Level{"T3", 167},  Level{"T2", 187},  Level{"T1", 206}, Level{"C7", 223},
    Level{"C6", 238},  Level{"C5", 253},  Level{"C4", 268}};

/// Half width of a vertebral body at height z.
double bodyRadius(double z) {
    return std::clamp(18.5 - 0.034 * z, 11.0, 25.0);
}

}  // namespace

double vertebraHeight(const std::string& level) {
    for (const Level& entry : kLevels)
        if (level == entry.name) return entry.z;
    return 0;
}

void Patient::paintBone(const Solid& solid, const std::string& label, double cortex) {
    paint(solid, {vary(520, 0.06), 60, 8, 0}, label);
    tint(offset(solid, -cortex), {vary(215, 0.08), 45, 5, 0}, {label});
}

void Patient::addSpine() {
    std::vector<TubePoint> discs, canal, cord;
    for (double z = -290; z <= 300; z += 20) {
        const Vec3 s = spine(z);
        const double r = bodyRadius(z), depth = 0.80 * r;
        discs.push_back({s, 0.97 * depth});
        canal.push_back({{s[0], s[1] - depth - 7.5, z}, 8.5});
        if (z > -95) cord.push_back({{s[0], s[1] - depth - 7.5, z}, std::clamp(5.4 + 0.004 * z, 4.8, 6.4)});
    }
    paint(tube(discs, {1.22, 1, 1}), {92, 10, 8, 0});
    for (std::size_t i = 0; i < kLevels.size(); ++i) {
        const double below = i > 0 ? kLevels[i - 1].z : kLevels[0].z - 34;
        const double above = i + 1 < kLevels.size() ? kLevels[i + 1].z : kLevels[i].z + 15;
        addVertebra(kLevels[i].name, kLevels[i].z, 0.5 * (above - below));
    }
    paint(tube(canal, {1.25, 1, 1}), {5, 6, 8, 0});
    paint(tube(cord, {1.2, 0.9, 1}), {42, 3, 8, 0}, "spinal_cord");
}

void Patient::addVertebra(const std::string& level, double z, double height) {
    const Vec3 c = spine(z);
    const double width = bodyRadius(z), depth = 0.80 * width, half = 0.40 * height;
    const Vec3 above = spine(z + 10), below = spine(z - 10);
    const Vec3 axis{(above[0] - below[0]) / 20, (above[1] - below[1]) / 20, 1};
    const auto along = [&](double x, double y, double dz) {
        return Vec3{c[0] + x + axis[0] * dz, c[1] + y + axis[1] * dz, z + dz};
    };
    const Solid body = intersect({ellipsoid(c, {width, depth, 4 * half}), halfSpace(along(0, 0, half), axis),
                                  halfSpace(along(0, 0, -half), {-axis[0], -axis[1], -1})},
                                 4);
    const double arch = -depth - 7.5;  // the spinal canal's centre
    const double wing = z < -30 ? 34 : 29;
    std::vector<Solid> parts{body};
    for (const double side : {1.0, -1.0}) {
        parts.push_back(tube({{along(side * 0.62 * width, -0.6 * depth, 3), 4.6},
                              {along(side * 13.5, arch, 2), 4.4},
                              {along(side * 12, arch - 9, -4), 4.8},
                              {along(side * 2, arch - 14, -6), 3.8}}));
        parts.push_back(tube({{along(side * 14, arch - 3, 0), 4.6}, {along(side * wing, arch - 9, 2), 3.8}}));
        parts.push_back(
            tube({{along(side * 14, arch - 6, -0.45 * height), 4.4}, {along(side * 14, arch - 6, 0.45 * height), 4}}));
    }
    const double droop = z > -30 ? 0.75 * height : 0.25 * height;
    parts.push_back(tube({{along(0, arch - 12, -4), 4},
                          {along(0, arch - 21, -4 - 0.6 * droop), 3.4},
                          {along(0, arch - 30, -4 - droop), 3.8}},
                         {1, 1, 1.5}));
    paintBone(unite(parts, 3), "vertebrae_" + level, 1.7);
}

void Patient::addPelvis() {
    const Vec3 s = spine(-236);
    paintBone(subtract(ellipsoid({0, s[1] - 14, -262}, {56, 30, 42}, {-25, 0, 0}),
                       ellipsoid({0, s[1] + 24, -290}, {40, 34, 60}), 6),
              "sacrum", 2);
    for (const double side : {1.0, -1.0}) {
        // The wing of the ilium: a shell of an ellipsoid.
        const Vec3 center{side * 20, -5, -250};
        const Solid outer = ellipsoid(center, {118, 92, 66}), inner = ellipsoid(center, {109, 83, 66});
        const Solid wing = intersect({outer, complement(inner), halfSpace({side * 52, 0, 0}, {-side, -0.35, 0}),
                                      halfSpace({0, 48, -250}, {0, 1, 0.5})},
                                     5);
        paintBone(wing, side > 0 ? "hip_right" : "hip_left", 1.8);
    }
}

void Patient::addRibs(double side) {
    constexpr std::array<double, 12> kEnd{140, 150, 152, 152, 150, 145, 138, 128, 117, 106, 76, 54};
    constexpr std::array<double, 12> kDrop{30, 48, 62, 72, 80, 86, 92, 98, 104, 108, 80, 60};
    const std::string hand = side > 0 ? "right" : "left";
    Vec3 previousEnd{};
    std::vector<Solid> cartilages;
    std::vector<std::pair<std::string, Solid>> ribs;
    for (int rib = 1; rib <= 12; ++rib) {
        const double root = vertebraHeight("T" + std::to_string(rib)) + 6, last = kEnd[rib - 1];
        const Vec3 s = spine(root);
        const double width = bodyRadius(root);
        std::vector<TubePoint> points{{{s[0] + side * (width - 2), s[1] - 0.55 * width, root}, 3.6},
                                      {{s[0] + side * (width + 11), s[1] - 0.8 * width - 11, root + 2}, 3.4}};
        const int steps = std::max(3, static_cast<int>(last / 15));
        Vec3 end{};
        for (int i = 1; i <= steps; ++i) {
            const double angle = 26 + (last - 26) * i / steps;
            const double fallen = std::pow(0.5 * (1 - std::cos(angle * 0.01745329)), 0.85);
            end = chestWall(root - kDrop[rib - 1] * fallen, angle, side, 4.5);
            points.push_back({end, i == steps ? 3.6 : 3.2});
        }
        ribs.emplace_back("rib_" + hand + "_" + std::to_string(rib), tube(points, {1, 1, 1.75}));
        if (rib <= 7) {
            const double joint = 166 - 17.0 * (rib - 1);
            const Vec3 target = chestWall(joint, 180 - 4.5, side, 6);
            const Vec3 middle = chestWall(0.45 * joint + 0.55 * end[2] - 4, 0.5 * (last + 176), side, 5);
            cartilages.push_back(tube({{end, 3.4}, {middle, 3.6}, {{side * 15, target[1], joint}, 3.6}}, {1, 1, 1.7}));
        } else if (rib <= 10) {
            cartilages.push_back(tube({{end, 3.2},
                                       {chestWall(0.5 * (end[2] + previousEnd[2]) + 4, last + 10, side, 5), 3.4},
                                       {chestWall(previousEnd[2] + 8, last + 22, side, 5), 3.2}},
                                      {1, 1, 1.6}));
        }
        previousEnd = end;
    }
    for (const Solid& cartilage : cartilages) paint(cartilage, {110, 25, 7, 0}, "costal_cartilages");
    for (const auto& [name, solid] : ribs) paintBone(solid, name, 1.3);
}

void Patient::addSternum() {
    std::vector<TubePoint> points;
    for (double z = 176; z >= 46; z -= 13) {
        const double radius = z > 150 ? 6.4 : z > 65 ? 5.4 : 3.4;
        points.push_back({{0, chestWall(z, 180, 1, 7)[1], z}, radius});
    }
    const Solid breastbone =
        unite({tube(points, {3.0, 1, 1}), tube({{points[0].position, 5.5}, {points[2].position, 6}}, {4.6, 1, 1})}, 8);
    paintBone(breastbone, "sternum", 1.5);
}

void Patient::addShoulder(double side) {
    const std::string hand = side > 0 ? "right" : "left";
    const Solid collarbone = tube({{{side * 22, 50, 180}, 6.5},
                                   {{side * 62, 56, 192}, 5.2},
                                   {{side * 105, 22, 206}, 5},
                                   {{side * 142, -12, 212}, 6}});
    paintBone(collarbone, "clavicula_" + hand, 1.6);
    const Solid blade =
        unite({ellipsoid({side * 96, -84, 136}, {34, 4.2, 62}, {6, 0, side * 27}),
               tube({{{side * 72, -98, 172}, 4}, {{side * 110, -88, 186}, 4.6}, {{side * 142, -46, 204}, 7}}),
               ellipsoid({side * 132, -50, 184}, {10, 16, 20}, {0, 0, side * 40})},
              5);
    paintBone(blade, "scapula_" + hand, 1.4);
    paintBone(ellipsoid({side * 158, -38, 196}, {25, 25, 27}), "humerus_" + hand, 2);
}

}  // namespace medseg::phantom
