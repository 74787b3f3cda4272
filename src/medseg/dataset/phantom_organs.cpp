// Organs of the phantom's abdomen and chest, and the great vessels.
#include <algorithm>
#include <cmath>

#include "medseg/dataset/phantom_anatomy.h"

namespace medseg::phantom {

void Patient::addStomachAndBowel() {
    const double c = proportions_.contrast;
    const Solid belly = offset(cavity_, -9);
    const Tissue wall{42 + 35 * c, 8, 7, 0};

    // Loops of small bowel: a random walk that is drawn back to the middle of the belly.
    std::vector<TubePoint> loops;
    Vec3 at{-30, 30, -130};
    for (int i = 0; i < 46; ++i) {
        loops.push_back({at, vary(11.5, 0.12)});
        const Vec3 home{0, 36, -178};
        constexpr double kPull[3] = {0.35, 0.45, 0.35};
        constexpr double kStep[3] = {46, 26, 34};
        for (int k = 0; k < 3; ++k)
            at[k] += kPull[k] * (home[k] - at[k]) + kStep[k] * std::clamp(random_.normal(), -1.6, 1.6);
        at[1] = std::max(at[1], 4.0);
    }
    const Solid bowel = intersect({tube(loops), belly}, 4);
    paint(bowel, wall, "small_bowel");
    tint(offset(bowel, -3), {28, 26, 12, 0}, {"small_bowel"});

    const Vec3 hepaticFlexure = jitter({96, 8, -98}, 4), splenicFlexure = jitter({-104, -2, -52}, 4);
    std::vector<TubePoint> frame{{{88, 4, -250}, 24},     {{100, 2, -190}, 25},   {{102, -8, -140}, 22},
                                 {hepaticFlexure, 20},    {{62, 50, -122}, 18},   {{5, 60, -128}, 17},
                                 {{-55, 56, -100}, 17},   {splenicFlexure, 17},   {{-108, -22, -100}, 15},
                                 {{-107, -16, -160}, 14}, {{-104, -6, -215}, 14}, {{-84, 0, -262}, 14}};
    for (TubePoint& point : frame) point.radius = vary(point.radius, 0.08);
    const Solid colon = intersect({bumpy(tube(frame), 3.2, 17, nextSeed()), offset(cavity_, -6)}, 4);
    paint(offset(colon, 1.5), organFat_);
    paint(colon, wall, "colon");
    tint(offset(colon, -2.6), {10, 110, 9, 0}, {"colon"});
    // Gas rises: the patient lies on the back.
    tint(intersect({offset(colon, -3), halfSpace({0, vary(50, 0.15), 0}, {0, -1, 0})}), {-960, 10, 9, 0}, {"colon"});

    const double grow = vary(1, 0.08);
    stomach_ = intersect({tube({{jitter({-52, -12, -2}, 3), 33 * grow},
                                {{-66, 12, -26}, 33 * grow},
                                {{-58, 40, -62}, 26 * grow},
                                {{-20, 52, -82}, 19 * grow},
                                {{22, 42, -76}, 13}}),
                          belly, offset(diaphragm_, -4)},
                         5);
    paint(offset(stomach_, 2), organFat_);
    paint(stomach_, wall, "stomach");
    tint(offset(stomach_, -4), {vary(22, 0.3), 16, 12, 0}, {"stomach"});
    tint(intersect({offset(stomach_, -4), halfSpace({0, vary(36, 0.12), 0}, {0, -1, 0})}), {-970, 8, 10, 0},
         {"stomach"});
}

void Patient::addLiver() {
    const double c = proportions_.contrast, grow = vary(1, 0.06);
    const Solid lobes = unite({ellipsoid({62, -2, -34}, {80 * grow, 82, 82 * grow}, {0, 0, 12}),
                               ellipsoid(jitter({-12, 40, -14}, 3), {70 * grow, 36, 30}, {0, -10, -6})},
                              24);
    const Solid below = unite({ellipsoid({4, -22, -92}, {50, 62, 62}), ellipsoid({58, -48, -112}, {36, 34, 62})}, 12);
    liver_ = bumpy(intersect({subtract(lobes, below, 16), offset(cavity_, -5), offset(diaphragm_, -3.5)}, 8), 2.2, 30,
                   nextSeed());
    const Tissue tissue{56 + 52 * c, 7, 7, 0};
    paint(offset(liver_, 1.2), organFat_);
    paint(liver_, tissue, "liver");
    std::vector<TubePoint> tree;
    for (const Vec3& aim :
         {Vec3{0.9, 0.1, 0.25}, Vec3{0.7, -0.5, 0.2}, Vec3{0.7, 0.3, -0.5}, Vec3{-0.5, 0.8, 0.3}, Vec3{0.5, -0.3, 0.9}})
        growTree({24, 10, -38}, aim, 4.8, 34, 4, tree);
    tint(segments(tree), {tissue.hu + 38 * c + 6, 3, 8, 0}, {"liver"});

    const Solid bladder = ellipsoid(jitter({40, 50, -70}, 4), {13, 16, vary(24, 0.15)}, {20, 0, 10});
    paint(offset(bladder, 1.5), {45 + 30 * c, 5, 8, 0}, "gallbladder");
    tint(bladder, {9, 4, 8, 0}, {"gallbladder"});

    const Solid spleen =
        intersect({ellipsoid(jitter({-96, -36, -24}, 3), {vary(40, 0.1), 60, vary(58, 0.1)}, {-18, 0, -24}),
                   offset(cavity_, -5.5), offset(diaphragm_, -3.5), complement(offset(stomach_, 4))},
                  7);
    paint(offset(spleen, 1.2), organFat_);
    paint(bumpy(spleen, 1.6, 25, nextSeed()), {50 + 75 * c, 6, 7, 0}, "spleen");
}

void Patient::addKidney(double side) {
    const double c = proportions_.contrast;
    const std::string hand = side > 0 ? "right" : "left";
    const Vec3 center = jitter({side * 60, -42, side > 0 ? -100.0 : -88.0}, 4);
    const Vec3 radii{vary(26, 0.07), vary(25, 0.07), vary(54, 0.07)}, turn{8, side * 12, side * 32};
    const Solid outer = bumpy(ellipsoid(center, radii, turn), 1.2, 18, nextSeed());
    const Solid hollow = ellipsoid({center[0] - side * 17, center[1] + 10, center[2]}, {15, 10, 21}, turn);
    const Solid kidney = subtract(outer, hollow, 8);
    paint(offset(outer, 8), organFat_);
    paint(kidney, {34 + 150 * c, 6, 7, 0}, "kidney_" + hand);
    // Medulla: pyramids are darker than the cortex while the contrast medium is in it.
    tint(intersect({offset(kidney, -7), offset(hollow, 14)}, 3), {32 + 100 * c, 18, 8, 0}, {"kidney_" + hand});
    // Pelvis and ureter leave through the hilum.
    paint(tube({{{center[0] - side * 12, center[1] + 6, center[2]}, 5},
                {{center[0] - side * 26, center[1] + 8, center[2] - 16}, 3.5},
                {{side * 34, -18, -160}, 2.2},
                {{side * 36, -8, -240}, 2.2}}),
          {12 + 20 * c, 4, 8, 0});
    const Vec3 gland{side > 0 ? 38.0 : -34.0, -34, side > 0 ? -46.0 : -44.0};
    paint(unite({tube({{{gland[0], gland[1] + 10, gland[2]}, 3},
                       {gland, 3.4},
                       {{gland[0] + side * 8, gland[1] - 14, gland[2] - 8}, 2.4}},
                      {1, 1, 2.4}),
                 tube({{gland, 3}, {{gland[0] - side * 7, gland[1] - 13, gland[2] - 8}, 2.4}}, {1, 1, 2.4})},
                2),
          {40 + 40 * c, 4, 8, 0}, "adrenal_gland_" + hand);
}

void Patient::addSmallOrgans() {
    const double c = proportions_.contrast;
    const Solid duodenum = tube(
        {{{24, 40, -76}, 12}, {{44, 22, -88}, 12.5}, {{46, 2, -118}, 12}, {{14, 2, -134}, 11}, {{-20, 10, -118}, 11}});
    paint(offset(duodenum, 1.2), organFat_);
    paint(duodenum, {44 + 35 * c, 6, 7, 0}, "duodenum");
    tint(offset(duodenum, -3.2), {18, 30, 10, 0}, {"duodenum"});
    const Solid pancreas = bumpy(tube({{{32, 14, -100}, 14},
                                       {{18, 22, -84}, 11},
                                       {{-14, 20, -72}, 9.5},
                                       {{-46, 2, -60}, 10},
                                       {{-72, -16, -46}, 9}},
                                      {1, 1, 1.25}),
                                 2, 9, nextSeed());
    paint(offset(pancreas, 1.5), organFat_);
    paint(pancreas, {38 + 60 * c, 14, 6, 0}, "pancreas");
    paint(unite({ellipsoid({17, 2, 246}, {11, 12, 26}), ellipsoid({-17, 2, 246}, {11, 12, 26}),
                 ellipsoid({0, 10, 238}, {14, 5, 8})},
                6),
          {95 + 50 * c, 6, 8, 0}, "thyroid_gland");
}

void Patient::addHeart() {
    const double c = proportions_.contrast, grow = vary(1, 0.05);
    const Vec3 at = jitter({-16, 22, 50}, 2.5);
    const Vec3 turn{0, 24, 30};
    const auto near = [&](double x, double y, double z) {
        return Vec3{at[0] + x * grow, at[1] + y * grow, at[2] + z * grow};
    };
    const Solid ventricles = ellipsoid(at, {61 * grow, 47 * grow, 43 * grow}, turn);
    const Solid atria =
        unite({ellipsoid(near(34, -4, 16), {26, 28, 30}), ellipsoid(near(10, -32, 22), {34, 18, 21})}, 12);
    const Solid sac = unite({ventricles, atria}, 14);
    paint(offset(sac, 4), organFat_);
    paint(sac, {62 + 55 * c, 6, 9, 0}, "heart");
    const Tissue chamber{blood_.hu, 5, 9, 0};
    tint(ellipsoid(near(-24, 4, -8), {35, 17, 16}, turn), chamber, {"heart"});
    tint(ellipsoid(near(0, 27, -2), {38, 11, 25}, turn), {blood_.hu - 12, 6, 9, 0}, {"heart"});
    tint(ellipsoid(near(36, -3, 16), {19, 23, 25}), {blood_.hu - 18, 10, 9, 0}, {"heart"});
    tint(ellipsoid(near(10, -33, 22), {29, 14, 17}), chamber, {"heart"});
    // Coronary groove: fat between atria and ventricles.
    tint(tube({{near(14, 34, 26), 4}, {near(20, 8, -8), 3.6}, {near(16, -20, -14), 4}}), organFat_, {"heart"});
}

void Patient::addVeins() {
    const double r = vary(1, 0.08);
    paint(unite({tube({{{20, -14, -300}, 10 * r},
                       {{19, -12, -185}, 11 * r},
                       {{21, -10, -100}, 12 * r},
                       {{27, -2, -40}, 13 * r},
                       {{25, 8, 8}, 13.5 * r},
                       {{20, 14, 34}, 13 * r}},
                      {1.15, 0.9, 1})}),
          vein_, "inferior_vena_cava");
    paint(tube({{{22, 12, 76}, 10 * r}, {{24, 8, 100}, 9.5 * r}, {{26, 8, 134}, 9 * r}}), vein_, "superior_vena_cava");
    paint(tube({{{26, 8, 136}, 7.5}, {{34, 8, 160}, 7}, {{44, 6, 184}, 6.5}}), vein_, "brachiocephalic_vein_right");
    paint(tube({{{26, 9, 138}, 7}, {{0, 22, 156}, 6.5}, {{-30, 18, 172}, 6.5}, {{-46, 8, 186}, 6.5}}), vein_,
          "brachiocephalic_vein_left");
    paint(tube({{{38, 12, -40}, 6.5},
                {{24, 12, -56}, 7},
                {{10, 10, -72}, 7},
                {{-24, 8, -64}, 5.5},
                {{-70, -18, -42}, 4.5}}),
          {vein_.hu + 12, 4, 10, 0}, "portal_vein_and_splenic_vein");
    const Tissue pulmonary{blood_.hu, 5, 10, 0};
    for (const double side : {1.0, -1.0}) {
        paint(tube({{{-6 + side * 22, -12, 72}, 7}, {{side * 42, -18, 76}, 6}, {{side * 56, -20, 84}, 4}}), pulmonary,
              "pulmonary_vein");
        paint(tube({{{-6 + side * 20, -14, 64}, 7}, {{side * 42, -30, 58}, 6}, {{side * 56, -36, 50}, 4}}), pulmonary,
              "pulmonary_vein");
    }
    // Pulmonary arteries: no structure of the class list, but bright.
    paint(unite({tube({{{-22, 44, 86}, 13}, {{-20, 28, 106}, 13}, {{-14, 4, 112}, 12}}),
                 tube({{{-14, 4, 112}, 11}, {{14, -8, 110}, 10}, {{40, -18, 104}, 8}}),
                 tube({{{-16, 2, 112}, 11}, {{-32, -16, 112}, 9.5}, {{-48, -26, 104}, 7.5}})},
                6),
          {blood_.hu + 15 * proportions_.contrast, 5, 10, 0});
}

void Patient::addArteries() {
    const double r = vary(1, 0.08);
    const auto before = [&](double z, double x, double gap) {
        const Vec3 s = spine(z);
        return Vec3{s[0] + x, s[1] + gap, z};
    };
    const std::vector<TubePoint> course{
        {{-2, 16, 74}, 14.5 * r},        {{12, 24, 100}, 15 * r},        {{13, 22, 130}, 14.5 * r},
        {{2, 2, 156}, 13.5 * r},         {{-17, -24, 152}, 12.5 * r},    {before(128, -24, 18), 12 * r},
        {before(60, -22, 20), 11.5 * r}, {before(0, -14, 25), 11 * r},   {before(-60, -9, 27), 10 * r},
        {before(-120, -9, 29), 9 * r},   {before(-170, -6, 30), 8.5 * r}};
    const Solid aorta = tube(course);
    paint(offset(aorta, 1.2), {48, 4, 8, 0}, "aorta");
    tint(aorta, blood_, {"aorta"});
    const auto artery = [&](const std::vector<TubePoint>& points, const std::string& name) {
        paint(tube(points), blood_, name);
    };
    artery({{{8, 12, 160}, 6.5}, {{16, 10, 178}, 6.2}, {{24, 2, 196}, 6}}, "brachiocephalic_trunk");
    artery({{{24, 2, 196}, 5}, {{48, 0, 206}, 4.6}, {{86, 10, 200}, 4.4}}, "subclavian_artery_right");
    artery({{{24, 2, 196}, 4}, {{26, -4, 225}, 3.8}, {{26, -6, 290}, 3.8}}, "common_carotid_artery_right");
    artery({{{-4, 0, 164}, 4.2}, {{-18, -4, 196}, 4}, {{-26, -6, 230}, 3.8}, {{-26, -6, 290}, 3.8}},
           "common_carotid_artery_left");
    artery({{{-14, -18, 160}, 5}, {{-28, -16, 192}, 4.8}, {{-50, -4, 206}, 4.6}, {{-86, 8, 200}, 4.4}},
           "subclavian_artery_left");
    for (const double side : {1.0, -1.0}) {
        const std::string hand = side > 0 ? "right" : "left";
        artery({{before(-172, -6, 30), 6.5},
                {{side * 18 - 4, -14, -200}, 6},
                {{side * 40, -22, -240}, 5.5},
                {{side * 50, -10, -290}, 5}},
               "iliac_artery_" + hand);
        paint(tube({{before(-74, side > 0 ? -2 : -16, 27), 3.4},
                    {{side * 26, -30, -92}, 3},
                    {{side * 42, -36, -96}, 2.8}}),
              blood_);
    }
    // Coeliac trunk and superior mesenteric artery.
    paint(tube({{before(-62, -9, 34), 3.6}, {{-6, 8, -68}, 3.2}, {{-4, 14, -110}, 3}, {{4, 20, -170}, 2.6}}), blood_);
}

}  // namespace medseg::phantom
