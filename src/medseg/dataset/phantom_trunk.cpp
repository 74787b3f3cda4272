// Measures of the patient, and what encloses the organs: skin, fat, muscles, body cavity, lungs and airways.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "medseg/dataset/phantom_anatomy.h"

namespace medseg::phantom {
namespace {

constexpr double kSquareness = 0.45;

/// Inner side of the ribs and of the abdominal wall.
const std::vector<OutlineSection>& cavitySections() {
    static const std::vector<OutlineSection> sections{
        {-300, 116, 66, -64}, {-200, 122, 74, -60}, {-140, 124, 76, -62}, {-80, 126, 78, -68}, {-20, 130, 84, -78},
        {40, 130, 86, -82},   {90, 124, 80, -82},   {130, 112, 66, -80},  {160, 94, 46, -77},  {185, 70, 22, -72},
        {205, 42, 2, -64},    {225, 26, -4, -56},   {300, 24, -4, -50}};
    return sections;
}

/// Outer side of the muscles.
const std::vector<OutlineSection>& muscleSections() {
    static const std::vector<OutlineSection> sections{
        {-300, 166, 90, -108}, {-200, 145, 86, -103}, {-140, 139, 87, -102}, {-80, 144, 91, -104},
        {-20, 152, 100, -108}, {40, 157, 104, -112},  {90, 160, 100, -116},  {130, 162, 90, -118},
        {160, 164, 74, -114},  {185, 162, 54, -107},  {205, 140, 38, -99},   {225, 92, 26, -92},
        {245, 62, 20, -86},    {300, 56, 20, -82}};
    return sections;
}

/// Outer side of the fat for a subcutaneous layer of `fat` mm at the chest; thicker at the belly and flanks.
std::vector<OutlineSection> skinSections(double fat) {
    std::vector<OutlineSection> sections = muscleSections();
    for (OutlineSection& s : sections) {
        const double belly = std::clamp((40 - s.z) / 120, 0.0, 1.0);
        s.halfWidth += fat * (0.8 + 0.7 * belly);
        s.front += fat * (0.7 + 0.9 * belly);
        s.back -= fat * (0.6 + 0.5 * belly);
    }
    return sections;
}

double interpolate(const std::vector<OutlineSection>& sections, double z, double OutlineSection::*field) {
    std::size_t next = 1;
    while (next + 1 < sections.size() && sections[next].z < z) ++next;
    const OutlineSection &a = sections[next - 1], &b = sections[next];
    const double t = std::clamp((z - a.z) / (b.z - a.z), 0.0, 1.0), s = t * t * (3 - 2 * t);
    return a.*field + s * (b.*field - a.*field);
}

}  // namespace

Patient::Patient(Random random) : random_(random) {
    measure();
    addTrunk();
    for (const double side : {1.0, -1.0}) addMuscles(side);
    addStomachAndBowel();
    addLiver();
    for (const double side : {1.0, -1.0}) addKidney(side);
    addSmallOrgans();
    addLungs();
    addAirways();
    addHeart();
    addVeins();
    addArteries();
    addSpine();
    addPelvis();
    addSternum();
    for (const double side : {1.0, -1.0}) {
        addRibs(side);
        addShoulder(side);
    }
}

double Patient::vary(double value, double relative) {
    return value * (1 + relative * std::clamp(random_.normal(), -2.0, 2.0));
}

Vec3 Patient::jitter(const Vec3& position, double mm) {
    Vec3 moved = position;
    for (double& v : moved) v += mm * std::clamp(random_.normal(), -2.0, 2.0);
    return moved;
}

void Patient::paint(Solid solid, const Tissue& tissue, const std::string& label) {
    layers_.push_back({.solid = std::move(solid), .tissue = tissue, .label = label});
}

void Patient::tint(Solid solid, const Tissue& tissue, std::vector<std::string> onlyOver) {
    layers_.push_back({.solid = std::move(solid),
                       .tissue = tissue,
                       .label = {},
                       .keepsLabel = true,
                       .onlyOver = std::move(onlyOver)});
}

void Patient::measure() {
    Proportions& p = proportions_;
    const double size = vary(1.0, 0.03);
    p.scale = {size * vary(1, 0.03), size * vary(1, 0.03), size * vary(1, 0.03)};
    p.tilt = {1.5 * random_.normal(), 1.2 * random_.normal(), 2.0 * random_.normal()};
    p.shift = jitter({0, 4, 0}, 5);
    p.fat = random_.uniform(8, 26);
    p.contrast = random_.uniform(0.35, 1.0);
    p.inspiration = 7 * std::clamp(random_.normal(), -2.0, 2.0);
    p.scoliosis = 3 * random_.normal();
    p.warp = random_.uniform(2, 4);
    p.seed = nextSeed();
    blood_ = {48 + 125 * p.contrast, 4, 10, 0};
    vein_ = {46 + 85 * p.contrast, 5, 10, 0};
    organFat_ = {-98, 9, 7, 0};
    muscle_ = {52 + 10 * p.contrast, 8, 9, 70};
}

void Patient::addTrunk() {
    const double fat = proportions_.fat;
    const Solid skin = trunk(skinSections(fat + 2.5), kSquareness);
    muscleOutline_ = trunk(muscleSections(), kSquareness);
    cavity_ = trunk(cavitySections(), kSquareness);
    // The couch: a shallow trough with a light core below the back.
    const double couch = -112 - 1.1 * fat - 16;
    const Solid trough = roundedBox({0, couch - 10, 0}, {215, 13, 2000}, 12);
    paint(trough, {-250, 0, 10, 0});
    paint(offset(trough, -3), {-930, 10, 20, 0});

    paint(skin, {25, 0, 6, 0});
    paint(trunk(skinSections(fat), kSquareness), {-104, 8, 9, 0});
    paint(muscleOutline_, muscle_);
    paint(offset(cavity_, -3), organFat_);

    const double rise = proportions_.inspiration;
    diaphragm_ = belowDomes(-52, {{72, 2, 62, 72, vary(82, 0.05) + rise},
                                  {-76, -2, 60, 70, vary(68, 0.05) + rise},
                                  {0, 24, 44, 50, 30 + 0.6 * rise}});
}

void Patient::addMuscles(double side) {
    const std::string hand = side > 0 ? "right" : "left";
    std::vector<TubePoint> back, hip;
    for (double z = -290; z <= 250; z += 30) {
        const Vec3 s = spine(z);
        const double taper = z < 120 ? 1.0 : std::max(0.55, 1 - (z - 120) / 200);
        back.push_back({{s[0] + side * 31 * taper, s[1] - 35, z}, 19 * taper});
    }
    for (double z = -290; z <= -70; z += 30) {
        const double down = (-70 - z) / 220;
        hip.push_back(
            {{spine(z)[0] + side * (27 + 38 * down), spine(z)[1] + 2 + 22 * down, z}, 8 + 20 * std::sqrt(down)});
    }
    const Solid erector = tube(back, {1.2, 0.85, 1});
    paint(offset(erector, 1.6), organFat_);
    paint(erector, muscle_, "autochthon_" + hand);
    const Solid psoas = tube(hip);
    paint(offset(psoas, 1.2), organFat_);
    paint(psoas, {muscle_.hu, 6, 9, 0}, "iliopsoas_" + hand);
}

void Patient::addLungs() {
    // The mediastinum keeps the lungs apart: narrow in front, wide around the heart and the great vessels.
    const Solid septum =
        unite({tube({{{0, 30, 250}, 34}, {{2, 0, 190}, 32}, {{2, -5, 130}, 30}, {{0, -8, 60}, 26}, {{0, -10, -70}, 26}},
                    {0.95, 1.5, 1}),
               roundedBox({-2, 55, 60}, {7, 60, 200}, 4)},
              14);
    const Solid around = unite({septum, ellipsoid({-18, 22, 48}, {66, 52, 48}, {0, 24, 30}),
                                tube({{{0, -52, 250}, 22}, {{0, -58, 100}, 23}, {{0, -52, -80}, 25}}, {1.1, 1, 1})},
                               10);
    const Solid space = intersect({offset(cavity_, -3.5), complement(offset(diaphragm_, 3)), complement(around)}, 9);
    const Tissue parenchyma{vary(-858, 0.015), 22, 6, 0};
    for (const double side : {1.0, -1.0}) {
        const bool right = side > 0;
        const std::string upper = right ? "lung_upper_lobe_right" : "lung_upper_lobe_left";
        const std::string lower = right ? "lung_lower_lobe_right" : "lung_lower_lobe_left";
        const Solid lung = intersect({space, halfSpace({side * 2, 0, 0}, {-side, 0, 0})}, 4);
        // A thin dark rim of partly filled tissue around the lung, then the lung.
        paint(offset(lung, 1), {20, 5, 10, 0});
        paint(lung, parenchyma, upper);
        const double fissure = vary(right ? 74 : 80, 0.06);
        layers_.push_back({.solid = halfSpace({0, 0, fissure}, {side * 0.12, 1, 1}),
                           .tissue = {},
                           .label = lower,
                           .keepsTissue = true,
                           .onlyOver = {upper}});
        if (right)
            layers_.push_back({.solid = halfSpace({0, 0, vary(86, 0.05)}, {0.08, -0.1, 1}),
                               .tissue = {},
                               .label = "lung_middle_lobe_right",
                               .keepsTissue = true,
                               .onlyOver = {upper}});
        addLungVessels(side);
    }
}

void Patient::addLungVessels(double side) {
    const std::vector<std::string> lobes =
        side > 0 ? std::vector<std::string>{"lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"}
                 : std::vector<std::string>{"lung_upper_lobe_left", "lung_lower_lobe_left"};
    const Vec3 hilum{side * 34, -22, 98};
    std::vector<TubePoint> pairs;
    for (const Vec3& aim : {Vec3{0.7, -0.35, -0.7}, Vec3{0.45, -0.75, -0.45}, Vec3{0.8, 0.5, -0.35},
                            Vec3{0.6, 0.55, 0.5}, Vec3{0.5, -0.3, 0.9}, Vec3{0.9, -0.25, 0.1}, Vec3{0.5, 0.2, -0.95}})
        growTree(jitter(hilum, 3), {side * aim[0], aim[1], aim[2]}, vary(4.6, 0.1), vary(30, 0.1), 6, pairs);
    tint(segments(pairs), {30 + 60 * proportions_.contrast, 0, 10, 0}, lobes);
}

void Patient::growTree(const Vec3& start, const Vec3& direction, double radius, double length, int generations,
                       std::vector<TubePoint>& pairs) {
    Vec3 heading = jitter(direction, 0.22);
    const double norm = std::sqrt(heading[0] * heading[0] + heading[1] * heading[1] + heading[2] * heading[2]);
    Vec3 end{};
    for (int k = 0; k < 3; ++k) {
        heading[k] /= norm;
        end[k] = start[k] + heading[k] * length;
    }
    pairs.push_back({start, radius});
    pairs.push_back({end, radius * 0.8});
    if (generations == 0) return;
    const Vec3 turn = jitter({0, 0, 0}, 0.55);
    for (const double sign : {1.0, -1.0})
        growTree(end, {heading[0] + sign * turn[0], heading[1] + sign * turn[1], heading[2] + sign * turn[2]},
                 radius * vary(0.74, 0.08), length * vary(0.82, 0.12), generations - 1, pairs);
}

void Patient::addAirways() {
    const Vec3 carina = jitter({3, -28, 122}, 2);
    const double radius = vary(8.6, 0.08);
    const Solid windpipe =
        tube({{{0, -2, 300}, radius}, {{0, -8, 230}, radius}, {{2, -20, 175}, radius}, {carina, radius * 1.1}});
    const Solid bronchi = unite({tube({{carina, 7.5}, {{24, -27, 106}, 7}, {{42, -26, 92}, 5}}),
                                 tube({{carina, 7}, {{-22, -30, 108}, 6}, {{-46, -30, 96}, 4.5}})},
                                3);
    const Solid gullet = tube({{{-3, -28, 300}, 6},
                               {{-4, -31, 225}, 6},
                               {{-4, -40, 178}, 6.5},
                               {{-3, -45, 122}, 6.5},
                               {{-9, -40, 60}, 7},
                               {{-18, -24, 18}, 7.5},
                               {{-36, -10, 4}, 8}});
    paint(gullet, {42, 6, 6, 0}, "esophagus");
    tint(offset(gullet, -4.6), {-500, 250, 14, 0}, {"esophagus"});
    paint(offset(unite({windpipe, bronchi}, 3), 1.6), {45, 5, 8, 0});
    paint(bronchi, {-985, 5, 8, 0});
    paint(windpipe, {-990, 5, 8, 0}, "trachea");
}

Vec3 Patient::spine(double z) const {
    // Kyphosis of the chest, lordosis of the loin.
    static const std::vector<OutlineSection> curve{
        {-300, 0, -64, 0}, {-230, 0, -50, 0}, {-165, 0, -40, 0}, {-110, 0, -41, 0}, {-50, 0, -49, 0}, {30, 0, -60, 0},
        {100, 0, -66, 0},  {160, 0, -62, 0},  {210, 0, -52, 0},  {250, 0, -46, 0},  {300, 0, -44, 0}};
    return {proportions_.scoliosis * std::sin(z / 90.0), interpolate(curve, z, &OutlineSection::front), z};
}

Vec3 Patient::chestWall(double z, double degrees, double side, double out) const {
    const auto& sections = cavitySections();
    const double width = interpolate(sections, z, &OutlineSection::halfWidth) + out;
    const double front = interpolate(sections, z, &OutlineSection::front) + out;
    const double back = interpolate(sections, z, &OutlineSection::back) - out;
    const double angle = degrees * std::numbers::pi / 180, sine = std::sin(angle), cosine = std::cos(angle);
    // Radius at which u^2 + v^2 - s u^2 v^2 reaches 1 in this direction.
    const double product = kSquareness * sine * sine * cosine * cosine;
    const double square = product > 1e-6 ? (1 - std::sqrt(1 - 4 * product)) / (2 * product) : 1.0;
    const double radius = std::sqrt(square);
    return {side * width * radius * sine, 0.5 * (front + back) - 0.5 * (front - back) * radius * cosine, z};
}

}  // namespace medseg::phantom
