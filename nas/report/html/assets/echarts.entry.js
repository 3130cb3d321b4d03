// The parts of Apache ECharts that the report needs. In a folder with a copy of this file, echarts.min.js is built by
//   npm install echarts@6.1.0 zrender@6.1.0 esbuild@0.28.2
//   npx esbuild echarts.entry.js --bundle --minify --target=es2020 --format=iife --global-name=echarts \
//     --banner:js="$(sed -n 's|^// banner: ||p' echarts.entry.js)" --outfile=echarts.min.js
// banner: /*! Apache ECharts 6.1.0, https://echarts.apache.org (Apache-2.0, see echarts.LICENSE.txt): what echarts.entry.js names. */
import { init, use } from "echarts/core";
import { CustomChart, LineChart, ScatterChart } from "echarts/charts";
import { DataZoomInsideComponent, GridComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { CanvasRenderer, SVGRenderer } from "echarts/renderers";

use([LineChart, ScatterChart, CustomChart]);
use([GridComponent, TooltipComponent, DataZoomInsideComponent, MarkLineComponent, CanvasRenderer, SVGRenderer]);

export { init };
